"""A user's checkout as a whole: what it holds to the last byte, what git says of it, and what a task says that it has of it."""

import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import Ended, User
from parallel import folder_of

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

CLEAN_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}

STATE = "; echo NEXT; ".join(
    (
        "git status --porcelain",
        "git diff",
        "git diff --staged",
        "git stash list",
        "git log --oneline -1",
        "git branch --show-current",
    )
)
"""Asks git everything that a person asks it about uncommitted work."""
SHOW_STATE = f'echo "[state"; {STATE}; echo "state]"'


@dataclass
class Run:
    """`goose-py run` as a person runs it, with its progress on the screen."""

    user: User
    id: str
    ended: Ended

    @property
    def first_lines(self) -> list[str]:
        """What is said before anything is done, but for the checks, which name what they please."""
        lines = self.ended.err.splitlines()
        first = next((number for number, line in enumerate(lines) if line.startswith(("✓", "✗"))), len(lines))
        return [line for line in lines[:first] if not line.startswith("· checks:")]

    def named(self, what: str) -> list[str]:
        """The first lines that name `what`."""
        return [line for line in self.first_lines if re.search(rf"(?<![\w.]){re.escape(what)}(?![\w.-])", line)]

    @property
    def printed(self) -> list[str]:
        """What its tools answered, in their order."""
        records = read_log(folder_of(self.user, self.id).path).records
        return [record.event.result.text() for record in records if isinstance(record.event, ev.ToolFinished)]

    @property
    def state(self) -> str:
        """What `SHOW_STATE` printed inside."""
        (found,) = (match for text in self.printed if (match := re.search(r"\[state\n(.*)state\]", text, re.DOTALL)))
        return found.group(1)

    async def row(self) -> dict[str, Any]:
        """Its line in the list of tasks."""
        return next(row for row in await _tasks(self.user) if row["task_id"] == self.id)

    async def changes(self) -> set[str]:
        shown = await self.user.goose("review", self.id, "--json", cwd=self.user.root)
        assert shown.code == 0, shown
        return {file["path"] for file in shown.json["changes"]["files"]}


async def run(user: User, *args: str, cwd: Path | None = None, code: int | None = 0, seconds: float = 100) -> Run:
    """Runs a task to its end, which is `code`; None: any."""
    before = {row["task_id"] for row in await _tasks(user)}
    ended = await user.goose("run", *args, cwd=cwd, seconds=seconds)
    assert "Traceback (most recent call last)" not in ended.err or ended.code == code, ended
    assert code in (None, ended.code), f"exit {ended.code}\n{ended.err}\n{ended.out}"
    (new,) = {row["task_id"] for row in await _tasks(user)} - before
    return Run(user, new, ended)


async def _tasks(user: User) -> list[dict[str, Any]]:
    listed = await user.goose("task", "list", "--all", "--json", cwd=user.root)
    return json.loads(listed.out)


def manifest(root: Path) -> dict[str, tuple[int, int, str, int]]:
    """Everything at and below `root`, what git ignores too: mode, size, digest and time. Of its git directory the index, HEAD
    and the configuration: objects and refs of ours may come."""
    found: dict[str, tuple[int, int, str, int]] = {}
    for folder, folders, files in os.walk(root):
        if folder == str(root) and ".git" in folders:
            folders.remove(".git")
            files += [f".git/{name}" for name in ("index", "HEAD", "config") if Path(folder, ".git", name).exists()]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for path in (Path(folder), *(Path(folder, name) for name in (*files, *links))):
            found[str(path.relative_to(root))] = _entry(path)
    return found


def _entry(path: Path) -> tuple[int, int, str, int]:
    status = path.lstat()
    if path.is_dir() and not path.is_symlink():
        return status.st_mode, 0, "", status.st_mtime_ns
    content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
    return status.st_mode, status.st_size, hashlib.sha256(content).hexdigest(), status.st_mtime_ns


def git_state(folder: Path) -> str:
    """What git answers to `STATE` in `folder`. Does not touch the index."""
    env = {**os.environ, **CLEAN_GIT, "GIT_OPTIONAL_LOCKS": "0", "PAGER": "cat"}
    return subprocess.run(["bash", "-c", STATE], cwd=folder, env=env, capture_output=True, text=True, check=True).stdout


def leave_uncommitted_work(root: Path) -> None:
    """Work of every kind in the notes that each prepared project has: staged, unstaged, both, deleted, renamed, another mode,
    untracked, and meant to be added."""
    notes = root / "notes"

    def git(*args: str) -> None:
        subprocess.run(["git", *args], cwd=notes, env={**os.environ, **CLEAN_GIT}, check=True)

    def add(name: str, line: str) -> None:
        with (notes / name).open("a") as file:
            file.write(line)

    add("staged.txt", "Staged.\n")
    add("both.txt", "Staged.\n")
    git("mv", "renamed.txt", "new name.txt")
    git("add", "staged.txt", "both.txt")
    add("both.txt", "And not staged.\n")
    add("unstaged.txt", "Not staged.\n")
    (notes / "deleted.txt").unlink()
    (notes / "mode.txt").chmod(0o755)
    (notes / "untracked.txt").write_text("Untracked.\n")
    (notes / "intended.txt").write_text("Meant to be added.\n")
    git("add", "-N", "intended.txt")
