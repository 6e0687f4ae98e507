"""What is asked about, what comes back, and what plan mode leaves, with a model that tries everything."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls
from parallel import folder_of

from goose_py.protocol import events as ev
from goose_py.protocol.commands import ResolveApproval
from goose_py.protocol.frames import Recorded
from goose_py.session.log import read_log
from goose_py.tasks.client import TaskClient

DONE = [{"text": "Done."}] * 8


class Person:
    """Somebody who looks at a task and answers its questions."""

    def __init__(self, client: TaskClient) -> None:
        self.client = client
        self.seen: list[ev.DurableEvent] = []
        self._changed = asyncio.Condition()

    async def read(self) -> None:
        async for frame in self.client.frames():
            if isinstance(frame, Recorded):
                async with self._changed:
                    self.seen.append(frame.record.event)
                    self._changed.notify_all()

    def all(self, kind: type) -> list:
        return [event for event in self.seen if isinstance(event, kind)]

    async def wait(self, kind: type, number: int = 1):
        """The event of that kind that came as the `number`th."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: len(self.all(kind)) >= number)
        return self.all(kind)[number - 1]

    async def answer(self, asked: ev.ApprovalRequested, **how) -> None:
        await self.client.send(ResolveApproval(approval_id=asked.approval_id, **how))


@asynccontextmanager
async def background(user: User, *args: str):
    started = await user.goose("task", "start", "Do it", *args)
    assert started.code == 0, started
    folder = folder_of(user, started.out.strip())
    person = Person(await TaskClient.connect(folder.socket))
    reading = asyncio.ensure_future(person.read())
    try:
        yield folder, person
    finally:
        await person.client.close()
        await asyncio.wait_for(reading, 30)


@pytest.mark.case("U06")
@pytest.mark.case("S06")
@pytest.mark.parametrize(
    "command",
    [
        "git checkout -- cart.py notes.txt",
        "git reset --h",
        "git clean -fd && git restore cart.py",
        "git stash -u",
        "rm -r cart.py test_cart.py",
        "touch -- -delete; find . -name '*.py' -del*",
        "bash <<'E'\nrm -rf cart.py\nE",
    ],
)
async def test_work_that_is_recorded_is_lost_to_no_command_and_nobody_is_asked(user, command):
    (user.repository / "notes.txt").write_text("kept\n")
    user.commit("Notes")
    turns = [
        calls(PLAN, FIX, ("write", {"path": "new.txt", "content": "untracked\n"})),
        calls(("shell", {"command": "echo more >> notes.txt"})),
        calls(("shell", {"command": command})),
        calls(PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json")
    assert ended.code == 0 and not ended.json["denied"], ended
    workspace = Path(ended.json["worktree"])
    names = ("cart.py", "new.txt", "notes.txt", "test_cart.py")
    left = {name: (workspace / name).read_text() if (workspace / name).exists() else None for name in names}
    back = await user.goose("task", "rewind", ended.json["session_id"], "--to", "1.4", "--yes")
    assert back.code == 0, back
    found = {name: (workspace / name).read_text() for name in names}
    assert found != left, "the command did discard something, so that there is something to bring back"
    assert (found["new.txt"], found["notes.txt"]) == ("untracked\n", "kept\nmore\n") and "- discount" in found["cart.py"]


@pytest.mark.case("U06")
async def test_without_a_sandbox_and_a_person_what_would_be_lost_is_refused_in_auto_mode(user):
    commands = ("git reset --hard", "git clean -fdx", "git checkout .", "find . -delete", "rm -rf .", "git stash drop")
    turns = [calls(*(("shell", {"command": command}) for command in commands)), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Clean up", "--output-format", "json", "--sandbox", "none")
    assert ended.code == 3 and len(ended.json["denied"]) == len(commands), ended
    assert (Path(ended.json["worktree"]) / "cart.py").exists()


@pytest.mark.case("U06")
async def test_what_leaves_the_worktree_is_asked_about_although_all_in_it_is_recorded(user):
    turns = [calls(("shell", {"command": "git push --force"})), *DONE]
    async with answered(user, turns), background(user, "--mode", "auto") as (_, person):
        asked = await person.wait(ev.ApprovalRequested)
        assert asked.patterns == () and asked.snapshot, "nothing that could be kept is offered, and the files are recorded"
        await person.answer(asked, allow=False)
        await person.wait(ev.TurnEnded)


TRIES = [
    ("write", {"path": "new.txt", "content": "x"}),
    ("write", {"path": "cart.py", "content": "x"}),
    FIX,
    ("apply_patch", {"patch": "*** Begin Patch\n*** Delete File: cart.py\n*** End Patch\n"}),
    ("edit", {"path": ".git", "old_string": "gitdir", "new_string": "x"}),
    *(
        ("shell", {"command": command})
        for command in (
            "echo x > new.txt", "sed -i s/sum/max/ cart.py", "rm -rf .", "python3 -c 'open(\"new.txt\",\"w\")'",
            "touch new.txt", "git checkout -b other", "git commit --allow-empty -m x", "git stash",
            "mkdir new && mv cart.py new", "chmod 000 cart.py", "ln -s /etc/passwd link", "cp cart.py $(echo copy.py)",
            "cat cart.py | tee copy.py",
            "env touch new.txt",
            "find . -name cart.py -delete", "python3 - <<'EOF'\nimport os\nos.remove('cart.py')\nEOF", "truncate -s 0 cart.py",
            "git -c alias.x='!touch new.txt' x", "bash -c 'echo x >> cart.py'", "ls > listing.txt",
            "dd if=/dev/zero of=cart.py count=1",
            "git worktree add ../other", "git update-ref refs/heads/evil HEAD", "awk 'BEGIN{print 1 > \"new.txt\"}'",
            "perl -e 'unlink \"cart.py\"'", "(sleep 0.2; touch new.txt) &", "git apply <<'EOF'\nx\nEOF",
            "tar xf x.tar", "unzip x",
        )
    ),
    ("shell", {"command": "while sleep 0.01; do touch new.txt; done", "background": True}),
    ("nonsense", {"path": "new.txt"}),
]  # fmt: skip


@pytest.mark.case("U07")
@pytest.mark.parametrize("level", ["full", "none"])
async def test_in_plan_mode_nothing_is_written_whatever_the_model_tries_and_whatever_the_sandbox_is(user, level):
    before = _everything(user.repository)
    turns = [calls(*TRIES[start : start + 6]) for start in range(0, len(TRIES), 6)]
    # What plan mode lets run at all, it lets run in a workspace that cannot be written: a rule of the user's opens the gate.
    rules = '[[rules]]\nverdict = "allow"\npattern = ["touch *", "python3 *", "bash *", "sed *", "tee *", "perl *", "awk *"]\n'
    async with answered(user, [*turns, *DONE], config=rules) as server:
        ended = await user.goose("run", "-t", "Plan it", "--mode", "plan", "--output-format", "json", "--sandbox", level)
    assert len(server.requests) > len(turns), ended
    workspace = Path(ended.json["worktree"])
    task = read_log(user.state / "tasks" / ended.json["session_id"])
    finished = [record.event.result for record in task.records if isinstance(record.event, ev.ToolFinished)]
    assert len(finished) == len(TRIES)
    assert not workspace.exists(), "only a worktree that is its base to the byte, with nothing ignored, is given back"
    assert not any(isinstance(record.event, ev.ChangesRecorded) for record in task.records)
    now = _everything(user.repository)
    changed = {name for name in now | before if now.get(name) != before.get(name)}
    assert not any(part in name for name in changed for part in ("refs/heads/other", "refs/heads/evil", "refs/stash")), changed
    assert all(name.startswith(".git/") for name in changed)


@pytest.mark.case("U07")
async def test_the_same_attempts_do_write_where_plan_mode_is_off(user):
    """The control of the test above."""
    async with answered(
        user, [calls(PLAN), calls(*TRIES[:1], *TRIES[6:7], *TRIES[9:10]), calls(PLAN_DONE), *DONE], config='mode = "auto"'
    ):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json")
    assert _files(Path(ended.json["worktree"])) != _files(user.repository)


def _files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            str(path.readlink()).encode() if path.is_symlink() else path.read_bytes(),
        )
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and ".git" not in path.relative_to(folder).parts
    }


def _everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.case("U12")
async def test_what_was_allowed_for_the_project_is_never_asked_again_also_in_a_new_worktree_and_can_be_taken_back(user):
    command = "python -c 'print(6 * 7)' && python -V"
    turns = [calls(("shell", {"command": command})), calls(("shell", {"command": command})), *DONE]
    async with answered(user, turns), background(user, "--mode", "ask") as (_, person):
        asked = await person.wait(ev.ApprovalRequested)
        assert len(asked.patterns) == 2 and all(pattern.startswith("python") for pattern in asked.patterns)
        edited = "\n".join(["python -c *", "python -V"])
        await person.answer(asked, allow=True, scope="project", pattern=edited)
        await person.wait(ev.TurnEnded)
        assert len(person.all(ev.ApprovalRequested)) == 1, "the second call of the same turn was not asked about"
        assert [event.result.is_error for event in person.all(ev.ToolFinished)] == [False, False]
    listed = (await user.goose("permissions", "list")).out
    assert "python -c *" in listed and "python -V" in listed and "in every worktree of" in listed and "until revoked" in listed
    shown = await user.goose("permissions", "test", command)
    assert shown.out.startswith("allow"), shown
    async with answered(user, turns):
        again = await user.goose("run", "-t", "Do it", "--mode", "ask", "--output-format", "json")
    assert again.code == 0 and not again.json["denied"], "another worktree, and nobody there to ask"
    for line in listed.splitlines():
        assert (await user.goose("permissions", "revoke", line.split()[0])).code == 0
    assert "Nothing is granted" in (await user.goose("permissions", "list")).out
    assert (await user.goose("permissions", "test", command)).out.startswith("ask")
    async with answered(user, turns):
        after = await user.goose("run", "-t", "Do it", "--mode", "ask", "--output-format", "json")
    assert after.code == 3 and after.json["denied"]
    unknown = await user.goose("permissions", "revoke", "nothing")
    assert unknown.code == 2 and "no grant" in unknown.err


@pytest.mark.case("U11")
async def test_a_denied_command_is_denied_wherever_it_hides_and_a_pipe_of_allowed_parts_runs_unasked(user):
    rules = (
        '[[rules]]\nverdict = "deny"\npattern = "python *"\n'
        '[[rules]]\nverdict = "allow"\npattern = ["make *", "nosuchtool *"]\n'
    )
    hidden = (
        "true && python x.py", "ls | xargs python", "echo $(python -V)", "find . -exec python {} +", "sh -c 'python -V'",
        "env A=1 python -V", "timeout 5 python -V", "bash -c \"sh -c 'python -V'\"", "`python -V`", "ls; python -V; ls",
    )  # fmt: skip
    turns = [
        calls(*(("shell", {"command": command}) for command in hidden)),
        calls(("shell", {"command": "make --version 2>&1 | head -1 && cat cart.py | grep -c sum"})),
        calls(("shell", {"command": "unheard-of-wrapper make x"}), ("shell", {"command": "make 'unclosed"})),
        *DONE,
    ]
    async with answered(user, turns, config=f'mode = "ask"\n{rules}'):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json")
    records = read_log(user.state / "tasks" / ended.json["session_id"]).records
    results = [record.event.result.text() for record in records if isinstance(record.event, ev.ToolFinished)]
    assert all("Not allowed" in text for text in results[: len(hidden)]), json.dumps(results, indent=1)
    assert "[exit code 0]" in results[len(hidden)], results[len(hidden)]
    wrapped, unclosed = results[len(hidden) + 1 :]
    assert "Denied" in wrapped
    assert "unexpected EOF" in unclosed and "make:" not in unclosed, "bash says what is wrong, and runs nothing (P15)"


@pytest.mark.case("P15")
@pytest.mark.parametrize("mode", ["ask", "auto"])
async def test_a_quotation_mark_that_is_not_closed_is_a_slip_that_bash_names_and_no_denial(user: User, mode: str):
    turns = [calls(("shell", {"command": "git commit -m \"It's\n\nall of it"})), *DONE]
    async with answered(user, turns):
        ended = await user.goose("run", "-t", "Go", "--mode", mode, "--output-format", "json")
    log = read_log(folder_of(user, ended.json["session_id"]).path).records
    (said,) = [record.event.result.text() for record in log if isinstance(record.event, ev.ToolFinished)]
    assert "unexpected EOF" in said and ended.code == 0 and not ended.json["denied"], (said, ended)


@pytest.mark.case("P15")
async def test_a_slip_without_a_sandbox_is_run_nowhere(user: User):
    turns = [calls(("shell", {"command": "touch made; echo 'x"})), *DONE]
    async with answered(user, turns):
        ended = await user.goose("run", "-t", "Go", "--mode", "ask", "--sandbox", "none", "--output-format", "json")
    log = read_log(folder_of(user, ended.json["session_id"]).path).records
    (said,) = [record.event.result.text() for record in log if isinstance(record.event, ev.ToolFinished)]
    assert "is not closed" in said and ended.code == 0, (said, ended)
