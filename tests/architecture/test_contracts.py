"""The rules of the house, proven on the source."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import goose_py

SOURCE = Path(goose_py.__file__).resolve().parent
ROOT = SOURCE.parent
BELOW_BOOTSTRAP = [
    "agent", "config", "git", "headless", "permissions", "protocol", "providers", "recipes", "review", "sandbox", "session",
    "tasks", "toolbox", "tui",
]  # fmt: skip
AMBIENT = {
    ("os", "environ"), ("os", "getenv"), ("os", "getcwd"), ("Path", "cwd"), ("Path", "home"), ("time", "time"),
    ("time", "monotonic"), ("time", "perf_counter"), ("datetime", "now"), ("datetime", "today"),
}  # fmt: skip


PROGRAMS = {SOURCE / "sandbox" / "confine.py", SOURCE / "sandbox" / "reach.py"}
"""Run as processes of their own: they are their own composition root."""


def test_layers_import_only_what_is_below_them():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("layer", BELOW_BOOTSTRAP)
def test_nothing_below_the_composition_root_reads_the_environment_the_folder_or_the_clock(layer):
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value.id}.{node.attr}"
        for path in sorted((SOURCE / layer).rglob("*.py"))
        if path not in PROGRAMS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in AMBIENT
    ]
    assert found == []


def test_extensions_never_import_the_program():
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "extensions").rglob("*.py"))
        for name in _imported(path)
        if name.split(".")[0] == "goose_py"
    ]
    assert found == []


def test_the_program_never_imports_an_extension():
    names = {path.name for path in (ROOT / "extensions").iterdir() if path.is_dir()}
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for name in _imported(path)
        if name.split(".")[0] in names | {"extensions"}
    ]
    assert found == []


def _imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
    return names


SLOW = ("anthropic", "openai", "mcp", "textual", "git", "keyring", "httpx2", "pydantic", "rich", "ruamel", "PIL", "jsonschema")


def _loaded_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_version_is_answered_before_anything_is_imported():
    loaded = _loaded_by("sys.argv = ['goose-py', '--version']\nfrom goose_py.entry import main\nmain()")
    assert not loaded & {*SLOW, "click", "msgspec", "asyncio"}


def test_help_imports_nothing_but_the_command_line():
    loaded = _loaded_by("from goose_py.cli import run_command\nrun_command(['--help'])")
    assert not loaded & set(SLOW)


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("goose_py.bootstrap.open_task", set()),
        ("goose_py.actions.runs.run", set()),
        ("goose_py.workers.worker", set()),
        ("goose_py.tui.app", {"textual", "rich"}),
    ],
)
def test_no_sdk_is_imported_before_it_is_chosen(module, allowed):
    loaded = _loaded_by(f"import {module}")
    assert loaded & set(SLOW) <= allowed


ROOMS = (SOURCE, ROOT / "extensions")
PROGRAMS_OF_THEIR_OWN = {"__main__", "server", "match_worker", "confine", "reach", "mount_shares"}
STARTED_BY_NAME = PROGRAMS_OF_THEIR_OWN | {"anthropic", "chat", "ollama", "responses"}
"""Modules that no import names: programs of their own, a manifest's entry, and adapters, chosen by their protocol's name."""


def _modules() -> list[Path]:
    demo = SOURCE / "demo" / "project"  # a project for a task to work on
    found = [path for room in ROOMS for path in sorted(room.rglob("*.py")) if path.name != "__init__.py"]
    return [path for path in found if path.parent != demo]


def test_no_folder_holds_more_than_twenty_modules_beside_each_other():
    count = Counter(path.parent.relative_to(ROOT).as_posix() for path in _modules())
    assert {folder: number for folder, number in count.items() if number > 20} == {}


def test_every_module_is_imported_by_somebody():
    used = set(STARTED_BY_NAME)
    for room in ROOMS:
        for path in room.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    used |= {(node.module or "").rpartition(".")[2], *(alias.name for alias in node.names)}
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("goose_py."):
                    used.add(node.value.partition(":")[0].rpartition(".")[2])
    assert [path.relative_to(ROOT).as_posix() for path in _modules() if path.stem not in used] == []
