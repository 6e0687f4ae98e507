"""How the modules of the screen know each other."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import goose_py.tui

FOLDER = Path(goose_py.tui.__file__).parent


def imported(file: Path) -> set[str]:
    """Modules of the package that a file imports anywhere, for types too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("goose_py.tui."):
            found.add(node.module.removeprefix("goose_py.tui."))
    return found


def test_no_module_of_the_screen_imports_one_that_imports_it():
    files = [file for file in FOLDER.rglob("*.py") if file.stem != "__init__"]
    graph = {".".join(file.relative_to(FOLDER).with_suffix("").parts): imported(file) for file in files}
    assert "context" in graph["review.screen"] and "app" not in set().union(*(graph[each] for each in graph if each != "run"))
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("context") < order.index("conversation.screen") < order.index("app")
