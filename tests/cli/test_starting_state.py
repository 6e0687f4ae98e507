"""A task starts from exactly what its user sees: commit, index, uncommitted and new files. It gives back what is its own."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from command import PLAN, PLAN_DONE, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.spec import read_spec

DONE = [{"text": "Done."}] * 6
LINES = "".join(f"line {number}\n" for number in range(1, 21))
LOOKS = (
    "git status --porcelain=v2", "git diff", "git diff --staged", "git stash list", "git log --format=%H%s -3",
    "git rev-parse HEAD",
)  # fmt: skip


def works_on(user) -> None:  # type: ignore[no-untyped-def]
    """Uncommitted work of every kind."""
    repository = user.repository
    for name in ("notes.txt", "gone.txt", "renamed.txt", "script.sh"):
        (repository / name).write_text(LINES)
    user.commit("More files")
    (repository / "notes.txt").write_text(LINES.replace("line 2\n", "line two, staged\n"))
    user.git("add", "notes.txt")
    (repository / "notes.txt").write_text((repository / "notes.txt").read_text().replace("line 18\n", "line 18, not staged\n"))
    (repository / "gone.txt").unlink()
    user.git("mv", "renamed.txt", "new name.txt")
    (repository / "script.sh").chmod(0o755)
    (repository / "untracked").mkdir()
    (repository / "untracked" / "r.json").write_text("{}\n")
    (repository / "staged.txt").write_text("staged\n")
    user.git("add", "staged.txt")


def edit(old: str, new: str, path: str = "notes.txt") -> tuple[str, dict[str, str]]:
    return "edit", {"path": path, "old_string": old, "new_string": new}


def said_in(user, task: str) -> list[str]:  # type: ignore[no-untyped-def]
    records = read_log(user.state / "tasks" / task).records
    texts = [record.event.result.text() for record in records if isinstance(record.event, ev.ToolFinished)]
    return [text.replace("[exit code 0]", "").replace("(no output)", "").strip() for text in texts]


def outside(user, command: str) -> str:  # type: ignore[no-untyped-def]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(user.root / "nobody"), "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(["/bin/sh", "-c", command], cwd=user.repository, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.case("H02")
@pytest.mark.case("H03")
@pytest.mark.case("U18")
async def test_git_says_inside_what_it_says_outside_and_only_the_tasks_own_changes_are_its_changeset(user):
    works_on(user)
    before, looked = user.tree(), [outside(user, command) for command in LOOKS]
    turns = [
        calls(*(("shell", {"command": command}) for command in LOOKS)),
        calls(PLAN, edit("line 10\n", "line ten\n")),
        calls(PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns, config='mode = "auto"'):
        run = await user.goose("run", "-t", "Look, then number ten", "--sandbox", "full")
        assert run.code == 0, run
        assert run.err.splitlines()[0].split("starts from ")[1] == "main with your 7 uncommitted files"
    task = next(path.name for path in (user.state / "tasks").iterdir())
    assert said_in(user, task)[: len(LOOKS)] == looked
    assert user.tree() == before
    reviewed = await user.goose("review", task)
    assert "+line ten" in reviewed.out and "not staged" not in reviewed.out.replace(" line 18, not staged", "")
    assert [file["path"] for file in (await user.goose("review", task, "--json")).json["changes"]["files"]] == ["notes.txt"]
    # Applied, it is one more uncommitted change beside the others, and the index is as it was.
    staged = user.git("diff", "--staged")
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    text = (user.repository / "notes.txt").read_text()
    assert all(part in text for part in ("line two, staged", "line ten", "line 18, not staged"))
    assert user.git("diff", "--staged") == staged
    assert (await user.goose("apply", task, "--undo", "--yes")).code == 0
    assert user.tree() == before


async def test_a_commit_that_is_merged_never_holds_the_users_uncommitted_work(user):
    works_on(user)
    own = ("write", {"path": "own.txt", "content": "own\n"})
    turns = [calls(PLAN, edit("line 10\n", "line ten\n"), own), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        assert (await user.goose("run", "-t", "Number ten")).code == 0
    before = user.git("status", "--porcelain"), user.git("stash", "list")
    merged = await user.goose("apply", "--all", "--yes", "--how", "squash")
    assert merged.code == 0, merged
    assert user.git("show", "--format=", "--name-only", "main").split() == ["notes.txt", "own.txt"]
    assert user.git("show", "main:notes.txt") == LINES.replace("line 10\n", "line ten\n")
    # The checkout follows, and what was uncommitted there still is, staged or not as it was.
    text = (user.repository / "notes.txt").read_text()
    assert all(part in text for part in ("line two, staged", "line ten", "line 18, not staged"))
    assert (user.git("status", "--porcelain"), user.git("stash", "list")) == before
    assert "+line two, staged" in user.git("diff", "--staged") and "+line ten" not in user.git("diff", "HEAD")


async def test_where_both_changed_the_same_lines_a_commit_is_refused_with_the_choice(user):
    works_on(user)
    turns = [calls(PLAN, edit("line 18, not staged\n", "line eighteen\n")), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        assert (await user.goose("run", "-t", "Number eighteen")).code == 0
    before = user.tree()
    refused = await user.goose("apply", "--all", "--yes", "--how", "squash")
    assert refused.code != 0 and "notes.txt" in refused.err and "--with-my-changes" in refused.err, refused
    assert refused.err.count("\n") == 1 and user.tree() == before
    both = await user.goose("apply", "--all", "--yes", "--how", "squash", "--with-my-changes")
    assert both.code == 0, both
    text = user.git("show", "main:notes.txt")
    assert "line eighteen" in text and "line two, staged" in text and user.git("status", "--porcelain") == ""


async def test_a_commit_of_the_tasks_that_holds_the_users_work_is_not_merged_unasked(user):
    works_on(user)
    commit = "git add -A && git commit -qm 'Everything'"
    turns = [calls(PLAN, edit("line 10\n", "line ten\n")), calls(("shell", {"command": commit})), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        assert (await user.goose("run", "-t", "Commit", "--sandbox", "full")).code == 0
    refused = await user.goose("apply", "--all", "--yes", "--how", "commits")
    assert refused.code != 0 and "holds your uncommitted work" in refused.err and "--with-my-changes" in refused.err, refused
    squashed = await user.goose("apply", "--all", "--yes", "--how", "squash")
    assert squashed.code == 0 and user.git("show", "--format=", "--name-only", "main").split() == ["notes.txt"], squashed


async def test_a_copy_of_the_users_work_in_another_file_is_in_no_commit_unasked(user):
    works_on(user)
    (user.repository / "helpers.py").write_text("def only_in_the_files_of_the_user(argument):\n    return argument\n")
    copied = "helpers = 1\n\n\nclass Moved:\n    def only_in_the_files_of_the_user(argument):\n        return argument\n"
    turns = [calls(PLAN, ("write", {"path": "moved.py", "content": copied})), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        assert (await user.goose("run", "-t", "Move it into a class")).code == 0
    before, head = user.tree(), user.git("rev-parse", "HEAD")
    refused = await user.goose("apply", "--all", "--yes", "--how", "squash")
    assert refused.code != 0 and refused.err.count("\n") == 1 and "--with-my-changes" in refused.err, refused
    assert "moved.py of the task holds what you have not committed" in refused.err
    assert user.tree() == before and user.git("rev-parse", "HEAD") == head
    assert (await user.goose("apply", "--all", "--yes")).code == 0
    assert (user.repository / "moved.py").read_text() == copied, "among the user's files it may stand"


async def test_what_a_queued_task_starts_from_is_recorded_when_it_is_asked_for(user):
    (user.repository / "mine.txt").write_text("then\n")
    turns = [calls(("shell", {"command": "cat mine.txt"})), {"text": "Done."}] * 4
    async with answered(user, turns, config='mode = "auto"\n[tasks]\nparallel = 1'):
        started = await user.goose("task", "start", "--each", "-", stdin="Look\nLook again\n")
        assert started.code == 0, started
        (user.repository / "mine.txt").write_text("now\n")
        user.git("commit", "-q", "--allow-empty", "-m", "Moved on")
        tasks = started.out.split()
        specs = [read_spec(user.state / "tasks" / task) for task in tasks]
        assert specs[0].start == specs[1].start is not None
        for task, spec in zip(tasks, specs, strict=True):
            assert user.git("rev-parse", f"refs/goose/{task}/base").strip() == spec.start.recorded
        for task in tasks:
            async with asyncio.timeout(120):
                while "Done." not in (await user.goose("session", "show", task)).out:
                    await asyncio.sleep(0.2)
            assert said_in(user, task)[0] == "then"


async def test_what_holds_secrets_and_is_not_tracked_stays_out_and_is_named(user):
    (user.repository / ".env").write_text("TOKEN=1\n")
    (user.repository / "new.py").write_text("print(1)\n")
    (user.repository / "dump.txt").write_text("key: ghp_" + "a1B2" * 9 + "\n")
    async with answered(user, DONE, config='mode = "auto"'):
        run = await user.goose("run", "-t", "Look", "--output-format", "json")
    assert run.code == 0, run
    task = run.json["session_id"]
    worktree = Path(run.json["worktree"])
    base = read_spec(user.state / "tasks" / task).start
    assert base is not None and base.left_out == (".env", "dump.txt") and len(base.warnings) == 2
    names = user.git("ls-tree", "-r", "--name-only", f"refs/goose/{task}/base").split()
    assert "new.py" in names and not {".env", "dump.txt"} & set(names)
    assert not (worktree / ".env").exists()
    records = read_log(user.state / "tasks" / task).records
    told = [record.event.text for record in records if isinstance(record.event, ev.Warned)]
    assert sum(".env is left out" in text for text in told) == 1 and sum("dump.txt is left out" in text for text in told) == 1


async def test_a_secret_that_a_task_needs_is_brought_by_name_and_is_in_none_of_its_trees(user):
    (user.repository / ".env").write_text("TOKEN=1\n")
    (user.repository / ".worktreeinclude").write_text(".env\n")
    turns = [calls(PLAN, ("write", {"path": "own.txt", "content": "o\n"})), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        run = await user.goose("run", "-t", "Look", "--output-format", "json", "--sandbox", "full")
    worktree = user.state / "tasks" / run.json["session_id"] / "tree" / "cart"
    assert run.code == 0 and (worktree / ".env").read_text() == "TOKEN=1\n", run
    listed = await user.goose("task", "restore", run.json["session_id"], "--list")
    assert "1 file +1" in listed.out.splitlines()[-1], listed
    assert ".env" not in user.git("ls-tree", "-r", "--name-only", f"refs/goose/{run.json['session_id']}/base")
