"""What `tests/material/prepare` has fetched: where it is, or a skip that says how to get it."""

import fcntl
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkouts import CLEAN_GIT, manifest

VARIABLE = "GOOSE_PY_TEST_MATERIAL"


def project(name: str, into: Path) -> Path:
    """The folder of a project of sources.txt, unpacked beneath `into` as it was published."""
    archives = sorted(_folder().glob(f"sources/{name.replace('-', '_')}-*.tar.gz"))
    if len(archives) != 1:
        _skip(f"the source distribution of {name}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(into, filter="data")
    return into / archives[0].name.removesuffix(".tar.gz")


def project_bin() -> Path:
    """The folder of programs of the environment in which the projects' own tests run."""
    environment = _folder() / "venv"
    if not (environment / "venv.txt").is_file():
        _skip("the projects' environment")
    return environment / "bin"


def npm_server(name: str) -> Path:
    """The script of an official MCP server, to be run with node."""
    script = _folder() / "node_modules" / "@modelcontextprotocol" / f"server-{name}" / "dist" / "index.js"
    if shutil.which("node") is None or not script.is_file():
        _skip(f"node, or npm's server-{name},")
    return script


@contextmanager
def prepared(name: str) -> Iterator[Path]:
    """The checkout of a project that `projects` made, as it was made, for one test at a time: where it stands is part of its
    environment, so that a copy would not work. The test fails that has changed what git ignores in it, which nothing here
    could restore; the project is missing then until it is prepared again."""
    projects = _folder() / "projects"
    checkout, made = projects / name, projects / ".made" / name
    if not (made / "from").is_file():
        _skip(f"the project {name}")
    with made.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _restore(checkout, made)
        before = _ignored(checkout)
        try:
            yield checkout
        finally:
            _restore(checkout, made)
            if _ignored(checkout) != before:
                (made / "from").unlink()
                pytest.fail(f"what git ignores in {checkout} has changed: `tests/material/prepare` makes it again")


def _ignored(checkout: Path) -> dict[str, tuple[int, int, str, int]]:
    """The files that git does not restore. Times of folders are left out: they change with tracked files, too."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True, check=True).stdout
    restored = set(listed.split("\0"))
    return {
        path: entry
        for path, entry in manifest(checkout).items()
        if path not in restored and not path.startswith(".git/") and not stat.S_ISDIR(entry[0])
    }


def _restore(checkout: Path, made: Path) -> None:
    shutil.rmtree(checkout / ".git")
    shutil.copytree(made, checkout / ".git", symlinks=True)
    for command in (["reset", "-q", "--hard"], ["clean", "-q", "-ffd"]):
        subprocess.run(["git", *command], cwd=checkout, env={**os.environ, **CLEAN_GIT}, check=True)


def _folder() -> Path:
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"{VARIABLE} names no folder; `tests/material/prepare FOLDER PYTHON` makes one")
    return Path(named).resolve()


def _skip(what: str) -> None:
    pytest.skip(f"{what} is missing from the folder that {VARIABLE} names: see what `tests/material/prepare` says")
