"""What `tests/material/prepare` has fetched: where it is, or a skip that says how to get it."""

import os
import shutil
import tarfile
from pathlib import Path

import pytest

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


def _folder() -> Path:
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"{VARIABLE} names no folder; `tests/material/prepare FOLDER PYTHON` makes one")
    return Path(named).resolve()


def _skip(what: str) -> None:
    pytest.skip(f"{what} is missing from the folder that {VARIABLE} names: see what `tests/material/prepare` says")
