"""Merges into a checkout that die by SIGKILL, run as a program because it forks: `python killed.py FOLDER [MOMENT...]`.

Without moments, the same change is merged again and again and dies at the first, the second, the third ... thing that it does
in the repository; each time what is left must be a merge that is done or one that never began. With moments, `recover_all`
dies likewise after a merge that died there. Prints one line for each death, `MOMENT[.MOMENT] merged|undone`, or what is wrong.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

from git_repos import Place, tree_of_folder

from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.review.approval import Approval
from goose_py.review.landing import land, prepare_landing
from goose_py.review.recovery import recover_all

AGAIN = 4
"""After every so many deaths it is also tried whether the merge can be done again: that takes as long as all the rest."""

ACTS = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile")
PROGRAMS = ("update-ref", "update-index")
BEFORE = {"a.txt": "a\n", "dir/c.txt": "c\n", "file": "f\n", "folder/x": "x\n", "mine.txt": "m\n"}
MINE = {"mine.txt": "my uncommitted work\n", "untracked.txt": "u\n"}
STATUS = " M mine.txt\n?? untracked.txt\n"


async def begun(top: Path) -> Place:
    """A repository with uncommitted work of its user, and a task that changed files in every way."""
    place = Place(top)
    place.commit(BEFORE)
    root = (await place.task()).path
    for name in ("dir/c.txt", "file", "folder/x"):
        (root / name).unlink()
    (root / "dir").rmdir()
    (root / "folder").rmdir()
    place.write({"a.txt": "A\n", "file/inside": "i\n", "folder": "a file now\n"}, root)
    (root / "link").symlink_to("a.txt")
    place.write(MINE)
    return place


async def merging(place: Place) -> None:
    """Prepared anew, as whoever merges again does. Nothing where it is merged already."""
    worktree = await TaskWorktree.open(await place.open(), place.top / "state" / "tasks" / "t1")
    tree = (await worktree.snapshot()).tree
    landing = await prepare_landing(worktree, Approval(worktree.base.tree, tree, tree), "main", "m\n")
    if landing.tree != await worktree.repository.tree_of(landing.tip):
        await land(await place.open(), worktree.store, landing, place.scratch)


async def recovering(place: Place) -> None:
    await recover_all(await place.open())


def dies(place: Place, work: Callable[[Place], Coroutine[Any, Any, None]], moment: int) -> bool:
    """Whether `work` came as far as that moment in the repository, and died there."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    left = moment

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "subprocess.Popen":
            left -= any(word in PROGRAMS for word in map(str, arguments[1]))
        elif event in ACTS:
            left -= any(str(argument).startswith(str(place.root)) for argument in arguments)
        if not left:
            left = -1  # os.kill is an event too
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = 1
    try:
        asyncio.run(work(place))
        code = 0
    finally:
        os._exit(code)


def what_is_left(place: Place, tip: str) -> str:
    """"merged" or "undone" where everything fits together, else what does not."""
    merged = place.sh("git rev-parse main").strip() != tip
    wanted = tree_of_folder(place.top / "worktrees" / "t1") if merged else {}
    if not merged:
        wanted = {name: ("file", text.encode()) for name, text in BEFORE.items()}
    wanted |= {name: ("file", text.encode()) for name, text in MINE.items()}
    found = tree_of_folder(place.root)
    if found != wanted:
        return f"files: {sorted(found.items() ^ wanted.items())}"
    if (status := place.sh("git status --porcelain")) != STATUS:
        return f"status: {status}"
    left = [path.name for path in (place.root / ".git").iterdir() if "goose-" in path.name or path.suffix == ".lock"]
    return f"left: {left}" if left else "merged" if merged else "undone"


def main(top: Path, moments: list[int]) -> None:
    place = asyncio.run(begun(top / "now"))
    tip = place.sh("git rev-parse main").strip()
    kept = top / "kept"
    place.top.rename(kept)

    def anew() -> None:
        shutil.rmtree(place.top, ignore_errors=True)
        shutil.copytree(kept, place.top, symlinks=True)

    def judged(name: str, moment: int) -> None:
        asyncio.run(recovering(place))
        found = what_is_left(place, tip)
        if moment % AGAIN == 0:
            asyncio.run(merging(place))
            again = what_is_left(place, tip)
            found = found if again == "merged" else f"{found}, then {again}"
        print(name, found, flush=True)

    for moment in moments or count(1):
        for second in count(1) if moments else [0]:
            anew()
            if not dies(place, merging, moment):
                return
            if second and not dies(place, recovering, second):
                break
            judged(f"{moment}.{second}" if second else str(moment), moment)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]])
