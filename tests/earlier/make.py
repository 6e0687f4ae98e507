"""Makes the folders of tasks that `tests/cli/test_earlier_tasks.py` goes on with, by an earlier version of the program:
`python earlier/make.py PATH/OF/ITS/goose-py` in the folder `tests`. Each is the home, repository and task folders of one user,
packed with the path that they were made at, which unpacking replaces.
"""

import asyncio
import os
import re
import shutil
import signal
import sys
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import command
from command import FIX, PLAN, PLAN_DONE, User, answered, calls

MADE_AT = Path("/tmp/goose-py-earlier-0123456789")
HERE = Path(__file__).parent
NOTES = "".join(f"line {number}\n" for number in range(1, 21))
COMMIT = ("shell", {"command": "git add -A && git -c user.name=Agent -c user.email=a@x commit -qm 'Take the discount off'"})
SECOND = ("write", {"path": "notes.txt", "content": NOTES.replace("line 10\n", "line ten\n")})
_LEFT_OUT = re.compile(r"/cache/|/home/state/sandbox/|\.lock$")
DONE = [{"text": "Done."}] * 3
AUTO = 'mode = "auto"'


async def plain(user: User) -> None:
    """From HEAD: a commit, then a change that is in none."""
    turns = [calls(PLAN, FIX), calls(COMMIT), calls(SECOND), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config=AUTO):
        await _run(user, "run", "-t", "Do it", "--base", "head", "--sandbox", "full")


async def changes(user: User) -> None:
    """From the checkout with uncommitted work, which then was the base itself."""
    (user.repository / "notes.txt").write_text(NOTES.replace("line 2\n", "line two, mine\n"))
    (user.repository / "new.txt").write_text("mine\n")
    turns = [calls(PLAN, FIX), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config=AUTO):
        await _run(user, "run", "-t", "Do it", "--base", "changes", "--sandbox", "full")


async def cut(user: User) -> None:
    """Killed right after a commit that nobody had taken over yet, with another task waiting for its turn."""
    turns = [calls(PLAN, FIX), calls(COMMIT), calls(("shell", {"command": "touch committed; sleep 600"})), *DONE]
    async with answered(user, turns, config=f"{AUTO}\n[tasks]\nparallel = 1"):
        first = await _run(user, "task", "start", "Do it", "--base", "head", "--sandbox", "full")
        await _run(user, "task", "start", "Wait", "--base", "head")
        worktree = user.state / "tasks" / first.out.strip() / "tree" / "cart"
        while not (worktree / "committed").exists():
            await asyncio.sleep(0.1)
        for process in user.processes():
            os.kill(process.pid, signal.SIGKILL)


async def _run(user: User, *words: str) -> command.Ended:
    ended = await user.goose(*words, seconds=120)
    assert ended.code == 0, ended
    return ended


def pack(make: Callable[[User], Awaitable[None]]) -> None:
    shutil.rmtree(MADE_AT, ignore_errors=True)
    MADE_AT.mkdir()
    user = User(MADE_AT)
    shutil.rmtree(user.repository / ".git" / "hooks")
    (user.repository / "notes.txt").write_text(NOTES)
    user.commit("Notes")
    try:
        asyncio.run(make(user))
    finally:
        user.leave()
    for sent in MADE_AT.rglob("*.sock"):
        sent.unlink()
    with tarfile.open(HERE / f"{make.__name__}.tar.xz", "w:xz") as archive:
        archive.add(MADE_AT, arcname=".", filter=lambda entry: None if _LEFT_OUT.search(entry.name) else entry)
    shutil.rmtree(MADE_AT)


if __name__ == "__main__":
    command.GOOSE = Path(sys.argv[1])
    for each in (plain, changes, cut):
        pack(each)
