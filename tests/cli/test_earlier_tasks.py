"""Tasks that an earlier version made are gone on with, reviewed, rewound, applied and undone in the way they were made."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import PLAN, PLAN_DONE, User, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.summary import summary_of

FOLDERS = Path(__file__).parents[1] / "earlier"
MADE_AT = b"/tmp/goose-py-earlier-0123456789"
DONE = [{"text": "Done."}] * 4
AUTO = 'mode = "auto"'
MORE = ("write", {"path": "more.txt", "content": "more\n"})


@pytest.fixture
def earlier(tmp_path: Path) -> Iterator["Earlier"]:
    found = Earlier(tmp_path / "user")
    yield found
    found.user.leave()


class Earlier:
    """The person whose folders were packed, unpacked elsewhere."""

    def __init__(self, root: Path) -> None:
        self.user = User.__new__(User)
        self.user.root, self.user.env, self.user.repository = root, {}, root / "cart"

    def unpack(self, name: str) -> tuple[User, str]:
        """The user, and the task that was begun."""
        with tarfile.open(FOLDERS / f"{name}.tar.xz") as archive:
            archive.extractall(self.user.root, filter="tar")
        for path in self.user.root.rglob("*"):
            if path.is_file() and not path.is_symlink() and MADE_AT in (content := path.read_bytes()):
                path.chmod(0o600)
                path.write_bytes(content.replace(MADE_AT, bytes(self.user.root)))
        for key, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
            self.user.git("config", key, value)  # without these nothing can be committed any more
        begun = [path.parent.name for path in (self.user.state / "tasks").glob("*/log.jsonl")]
        return self.user, begun[0]


def records(user: User, task: str) -> tuple[ev.Record, ...]:
    return read_log(user.state / "tasks" / task).records


def branch_of(user: User, task: str) -> str:
    return user.git("log", "--format=%s", f"main..goose/{task}")


def worktree_of(user: User, task: str) -> Path:
    return user.state / "tasks" / task / "tree" / "cart"


@pytest.mark.parametrize("name", ["plain", "changes"])
async def test_a_task_is_reviewed_applied_undone_and_rewound(earlier: Earlier, name: str):
    user, task = earlier.unpack(name)
    before, branch = user.tree(), branch_of(user, task)
    reviewed = await user.goose("review", task, "--json")
    changed = {file["path"] for file in reviewed.json["changes"]["files"]}
    assert changed == ({"cart.py", "notes.txt"} if name == "plain" else {"cart.py"}), reviewed
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert "- discount" in (user.repository / "cart.py").read_text()
    if name == "changes":
        assert "line two, mine" in (user.repository / "notes.txt").read_text()
    assert (await user.goose("apply", task, "--undo", "--yes")).code == 0
    assert user.tree() == before and branch_of(user, task) == branch
    assert (await user.goose("task", "rewind", task, "--to", "1", "--yes")).code == 0
    assert "+ discount" in (worktree_of(user, task) / "cart.py").read_text()
    assert (await user.goose("task", "rewind", task, "--undo", "--yes")).code == 0
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash")).code == 0
    names = set(user.git("show", "--format=", "--name-only", "main").split())
    assert names == changed and user.git("stash", "list") == ""


@pytest.mark.case("U27")
@pytest.mark.parametrize("name", ["plain", "changes"])
async def test_a_task_goes_on_where_it_was_told_to_be_with_the_same_prefix_and_on_its_branch(earlier: Earlier, name: str):
    user, task = earlier.unpack(name)
    started = next(record.event for record in records(user, task) if isinstance(record.event, ev.SessionStarted))
    prefix = next(record.event for record in records(user, task) if isinstance(record.event, ev.PrefixSet))
    commit = f"cd '{started.workspace}' && git add -A && git -c user.name=A -c user.email=a@x commit -qm More && git branch"
    where = f"pwd; echo by its checkout >> {user.repository}/more.txt"
    turns = [calls(PLAN, MORE), calls(("shell", {"command": where}), ("shell", {"command": commit})), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config=AUTO) as server:
        ended = await user.goose("run", "--resume", task, "-t", "Go on", "--output-format", "json")
    assert ended.code == 0, ended
    assert server.requests[0].body["system"][0]["text"] == prefix.system
    assert ended.json["workspace"] == started.workspace
    said = [record.event.result.text() for record in records(user, task) if isinstance(record.event, ev.ToolFinished)]
    assert any(f"* goose/{task}" in text and "main" in text for text in said), said
    assert f"{started.workspace}\n" in [text.partition("[")[0] for text in said], "it stays where it was told to be"
    assert not [r for r in records(user, task) if isinstance(r.event, ev.ContextAdded) and r.event.source == "workspace"]
    assert branch_of(user, task).splitlines()[0] == "More"
    tip = user.git("rev-parse", f"goose/{task}").strip()
    assert user.git("-C", str(worktree_of(user, task)), "rev-parse", "--abbrev-ref", "HEAD").strip() == f"goose/{task}"
    assert user.git("for-each-ref", "--format=%(refname)", f"refs/goose/{task}/head") == ""
    assert (await user.goose("delegate", "--finish", task)).code == 0
    assert summary_of_task(user, task).branch == f"goose/{task}"
    assert user.git("merge-base", "--is-ancestor", tip, f"goose/{task}") == ""
    assert (await user.goose("task", "discard", task, "--yes")).code == 0 and not worktree_of(user, task).exists()
    assert user.git("branch", "--list", "goose/*") == ""
    assert (await user.goose("task", "restore", task)).code == 0
    assert (worktree_of(user, task) / "more.txt").read_text() == "more\nby its checkout\n" and branch_of(user, task)


def summary_of_task(user: User, task: str):  # type: ignore[no-untyped-def]
    from goose_py.bootstrap.host import TaskStore

    return summary_of(TaskStore(user.state / "tasks", user.root / "home" / "run").folder(task))


async def test_a_commit_that_was_not_taken_over_when_the_program_was_killed_is_taken_over_now(earlier: Earlier):
    user, task = earlier.unpack("cut")
    assert branch_of(user, task) == ""
    async with answered(user, [calls(PLAN_DONE), *DONE], config=AUTO):
        ended = await user.goose("run", "--resume", task, "-t", "Go on")
    assert ended.code == 0, ended
    assert branch_of(user, task) == "Take the discount off\n"
    assert user.git("fsck", "--strict", "--no-dangling") == ""


async def test_a_task_that_waited_in_the_queue_begins_from_what_it_was_asked_to_begin_from(earlier: Earlier):
    user, first = earlier.unpack("cut")
    (waiting,) = [path.parent.name for path in (user.state / "tasks").glob("*/waiting")]
    (user.repository / "cart.py").write_text("# mine\n")
    async with answered(user, DONE, config=AUTO):
        assert (await user.goose("run", "--resume", waiting, "-t", "Begin")).code == 0
    started = next(record.event for record in records(user, waiting) if isinstance(record.event, ev.SessionStarted))
    assert started.base == user.git("rev-parse", "main").strip() and not started.includes_changes
    assert first != waiting


def test_the_folders_are_small_and_name_no_machine():
    for packed in FOLDERS.glob("*.tar.xz"):
        assert packed.stat().st_size < 100_000
    listing = subprocess.run(["tar", "tJf", str(FOLDERS / "plain.tar.xz")], capture_output=True, text=True, check=True).stdout
    assert "./cart/cart.py" in listing and shutil.which("tar")
