"""Where the extensions and recipes that ship with the program are.

In the source tree they stand beside `goose_py/`, because neither is part of the program; a wheel carries them in
`goose_py/_bundled/` (see `force-include` in pyproject.toml).
"""

from pathlib import Path
from typing import Literal

RECIPE_SUFFIXES = (".yaml", ".json")

_PACKAGE = Path(__file__).resolve().parent


def folder(kind: Literal["extensions", "recipes"]) -> Path:
    """The folder of all bundled `kind`. It exists in every complete installation, and need not in a broken one."""
    installed = _PACKAGE / "_bundled" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def extensions() -> dict[str, Path]:
    """Folders of the bundled extensions by name, sorted: each has an `extension.toml`."""
    found = folder("extensions")
    if not found.is_dir():
        return {}
    return {path.name: path for path in sorted(found.iterdir()) if (path / "extension.toml").is_file()}


def recipes() -> dict[str, Path]:
    """Files of the bundled recipes by name without suffix, sorted."""
    found = folder("recipes")
    if not found.is_dir():
        return {}
    return {path.stem: path for path in sorted(found.iterdir()) if path.suffix in RECIPE_SUFFIXES and path.is_file()}
