"""`extension.toml` of a bundled extension, its static tool list, and the way to its server.

```toml
name = "developer"
description = "Shell, files and search in the workspace."
entry = "server:create_server"   # module in this folder : function
in_process = "tools:bind"        # the same for calls without MCP, optional
instructions = "Read a file before you edit it."   # for the system prompt, optional
plain_names = true               # the default: offer `shell`, not `developer__shell`
```

`tools.json` beside it is what `tools/list` answers, so that the tools can be offered before anything is loaded.
"""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from goose_py.protocol.errors import UserError
from goose_py.toolbox.names import RemoteTool, remote_tools

MANIFEST = "extension.toml"
TOOLS = "tools.json"

_FIELDS = (
    ("name", str), ("entry", str), ("in_process", str), ("description", str), ("instructions", str), ("plain_names", bool)
)  # fmt: skip


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One bundled extension. `entry` is "module:function"; the function is called as
    `create_server(workspace, spawn, state=..., env=...)` and returns an MCP server. The function of `in_process`, "" where
    there is none, is called with the same and returns the `connect` of a `direct_session.DirectSession`."""

    folder: Path
    name: str
    description: str = ""
    entry: str
    in_process: str = ""
    instructions: str = ""
    plain_names: bool = True

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Raises UserError with the file and the field where the manifest cannot be used. Keys that it does not know
        are left to others: a manifest is also read by the programs that list extensions."""
        path = folder / MANIFEST
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}): the extension is not complete") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: is not valid TOML: {error}") from error
        for key, kind in _FIELDS:
            if key not in raw and key in ("name", "entry"):
                raise UserError(f"{path}: {key!r} is missing")
            if key in raw and not isinstance(raw[key], kind):
                wanted = "a string" if kind is str else "true or false"
                raise UserError(f"{path}: {key!r} is {raw[key]!r}, it must be {wanted}")
        for key in ("entry", "in_process"):
            if key not in raw:
                continue
            module, colon, function = raw[key].partition(":")
            if not colon or not module.isidentifier() or not function.isidentifier():
                raise UserError(f"{path}: {key!r} is {raw[key]!r}, it must be \"module:function\"")
            if not (folder / f"{module}.py").is_file():
                raise UserError(f"{path}: {key!r} names the module {module!r}, but {folder / module}.py does not exist")
        return cls(
            folder=folder,
            name=raw["name"],
            description=raw.get("description", ""),
            entry=raw["entry"],
            in_process=raw.get("in_process", ""),
            instructions=raw.get("instructions", ""),
            plain_names=raw.get("plain_names", True),
        )

    def tools(self) -> tuple[RemoteTool, ...]:
        """The tools of `tools.json`. Raises UserError where it is missing or not such a list."""
        path = self.folder / TOOLS
        try:
            raw = json.loads(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}): the extension is not complete") from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: is not valid JSON: {error}") from error
        listed = raw.get("tools") if isinstance(raw, dict) else raw
        try:
            return remote_tools(listed)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: is not a list of MCP tools: {error}") from error

    def load_entry(self) -> Callable[..., Any]:
        """Import the server's function. Slow (it imports the MCP SDK): call it in a thread."""
        return self._load(self.entry)

    def load_in_process(self) -> Callable[..., Any]:
        """Import the function of `in_process`, or that of `entry` where there is none. Call it in a thread."""
        return self._load(self.in_process or self.entry)

    def _load(self, entry: str) -> Callable[..., Any]:
        """The folder is loaded as a package under a name made from its path, so that an extension uses relative imports,
        never shadows a module of the program, and two folders of one name do not meet in `sys.modules`."""
        module, _, function = entry.partition(":")
        package = _load_package(self.folder, self.name)
        return getattr(importlib.import_module(f"{package}.{module}"), function)


def _load_package(folder: Path, name: str) -> str:
    stem = "".join(c if c.isalnum() else "_" for c in name)
    package = f"goose_py_extension_{stem}_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if package in sys.modules:
        return package
    init = folder / "__init__.py"
    if init.is_file():
        spec = importlib.util.spec_from_file_location(package, init, submodule_search_locations=[str(folder)])
    else:
        spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    assert spec is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[package] = loaded
    if spec.loader is not None:
        try:
            spec.loader.exec_module(loaded)
        except BaseException:
            del sys.modules[package]
            raise
    return package
