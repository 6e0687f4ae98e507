"""Real repositories for tests. Nothing here is a fake: `sh` runs the git that a user would run."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from goose_py.git.inert import read_inert_settings
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktrees.base import Base, base_from_head
from goose_py.git.worktrees.commits import CommitStore
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.sandbox.policy import GitInside

GIT = Path(shutil.which("git") or "/usr/bin/git").resolve()


@dataclass
class Place:
    """A temporary home with one repository in it, as a user has them."""

    top: Path
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        self.top = self.top.resolve()
        self.root = self.top / "repo"
        self.root.mkdir(parents=True, exist_ok=True)
        (self.top / "home").mkdir(exist_ok=True)
        self.git = Git.create(GIT, self.env)

    @property
    def env(self) -> dict[str, str]:
        """What a user's own commands see; git's own settings come from a home that is empty."""
        identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _IDENTITY}
        return {"PATH": os.environ["PATH"], "HOME": str(self.top / "home"), "LC_ALL": "C", **identity}

    @property
    def scratch(self) -> Path:
        return self.top / "state" / "scratch"

    def sh(self, command: str, cwd: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=cwd or self.root, env=self.env, capture_output=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{command!r} failed with {done.returncode}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout.decode("utf-8", "surrogateescape")

    def write(self, files: dict[str, str | bytes], where: Path | None = None) -> None:
        for name, content in files.items():
            path = (where or self.root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files: dict[str, str | bytes] | None = None, message: str = "change") -> str:
        if not (self.root / ".git").exists():
            self.sh("git init -q -b main .")
        self.write(files or {})
        self.sh(f"git add -A && git commit -q --allow-empty -m '{message}'")
        return self.sh("git rev-parse HEAD").strip()

    async def open(self) -> Repository:
        return await Repository.open(self.git, self.root)

    async def task(self, task_id: str = "t1", base: Base | None = None) -> TaskWorktree:
        repository = await self.open()
        return await TaskWorktree.create(
            repository,
            task_id,
            where=self.top / "worktrees" / task_id,
            store=self.top / "state" / "tasks" / task_id,
            base=base or await base_from_head(repository),
        )

    def stopping_git(self, subcommand: str) -> Git:
        """Git that stops for good before it runs `subcommand`, and tells its pid, while the pipe `stopped` exists."""
        os.mkfifo(self.top / "stopped")
        script = self.top / "stopping-git"
        stop = f"echo $$ > {self.top}/stopped; exec sleep 600;"
        wanted = f'[ "$1" = {subcommand} ] && [ -p {self.top}/stopped ]'
        script.write_text(f'#!/bin/sh\n{wanted} && {{ {stop} }}\nexec {GIT} "$@"\n')
        script.chmod(0o755)
        return Git.create(script, self.env)

    def state(self) -> dict[str, bytes | str]:
        """Everything of the user's checkout that a task must leave alone: files with their times, index, HEAD, stash, refs
        (but for those of goose-py), configuration and hooks."""
        found: dict[str, bytes | str] = {}
        for folder, folders, files in os.walk(self.root):
            if ".git" in folders:
                folders.remove(".git")
            for name in (*files, *(each for each in folders if (Path(folder) / each).is_symlink())):
                path = Path(folder, name)
                status = path.lstat()
                content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
                found[str(path)] = f"{status.st_mode} {status.st_ino} {status.st_mtime_ns}".encode() + content
        git_dir = Path(self.sh("git rev-parse --absolute-git-dir").strip())
        for name in ("index", "HEAD", "config", "ORIG_HEAD", "MERGE_HEAD", "info/exclude"):
            found[name] = (git_dir / name).read_bytes() if (git_dir / name).exists() else b"absent"
        refs = self.sh("git for-each-ref --format='%(objectname) %(refname)'").splitlines()
        found["refs"] = "\n".join(line for line in refs if "/goose/" not in line)
        found["hooks"] = "\n".join(sorted(path.name for path in (git_dir / "hooks").glob("*")))
        return found


_IDENTITY = (("NAME", "Ada"), ("EMAIL", "ada@example.org"))


def git_inside(checkout: Path, worktree: Path, branch: str, store: Path) -> GitInside:
    """The git directory that a task with this worktree of `checkout` would have, in the folder `store`."""

    async def made() -> GitInside:
        repository = await Repository.open(Git.create(GIT, {"PATH": os.environ["PATH"], "HOME": "/nowhere"}), checkout)
        store.mkdir(parents=True, exist_ok=True)
        own = await CommitStore(
            folder=store / "commits",
            repository=repository,
            settings=await read_inert_settings(repository),
            where=worktree,
            task_id="t",
            reference=f"refs/heads/{branch}",
            branch=branch,
            own_rules=store / "ignored",
        ).prepare()
        assert own is not None
        return GitInside(own.folder, own.objects)

    with ThreadPoolExecutor(1) as aside:  # also for a caller whose thread has a loop that runs
        return aside.submit(asyncio.run, made()).result()


def tree_of_folder(root: Path) -> dict[str, tuple[str, bytes]]:
    """Files of a folder as they are on disk, without `.git`: kind and exact bytes."""
    found = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        for name in (*files, *(each for each in folders if (Path(folder) / each).is_symlink())):
            path = Path(folder, name)
            if name == ".git":
                continue
            key = str(path.relative_to(root))
            if path.is_symlink():
                found[key] = ("link", os.fsencode(os.readlink(path)))  # noqa: PTH115
            else:
                found[key] = ("exec" if path.stat().st_mode & 0o100 else "file", path.read_bytes())
    return found
