"""Which extensions a session has, as values. Config and recipes each write them in their own way; both end here.

The field names are Goose's (`crates/goose/src/agents/extension.rs`, `ExtensionConfig`), so that its recipes and settings
map one to one. Times are in seconds.
"""

import hashlib
import json
from typing import Any

import msgspec

from goose_py.protocol.errors import UserError

CALL_TIMEOUT = 300.0
STARTUP_TIMEOUT = 60.0

FORBIDDEN_ENV = frozenset(
    {
        "APPINIT_DLLS", "CLASSPATH", "COMSPEC", "GEM_HOME", "GEM_PATH", "GO111MODULE", "GOROOT", "HOMEDRIVE", "HOMEPATH",
        "LOCALAPPDATA", "NODE_OPTIONS", "PATH", "PATHEXT", "PYTHONHOME", "PYTHONPATH", "RUBYOPT", "SESSIONNAME",
        "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "WINDIR", "BASH_ENV", "ENV", "PERL5OPT", "PYTHONSTARTUP",
    }
)  # fmt: skip
"""Names that decide which code runs in a child. An extension's own settings may not set them: a recipe is somebody
else's text, and `cmd` is what was approved. Compared in upper case; anything that starts with LD_ or DYLD_ is one too."""


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """What all kinds have. `available_tools` names the tools that may be offered (the server's own names); empty means
    all. `timeout` is how long a call may go without a sign of life."""

    name: str
    description: str = ""
    timeout: float = CALL_TIMEOUT
    available_tools: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not normalise(self.name):
            raise UserError(f"the extension name {self.name!r} has no letter or digit in it: give it a plain name")
        if self.timeout <= 0:
            raise UserError(f"extension {self.name!r}: timeout is {self.timeout:g}, it must be more than 0 seconds")

    @property
    def key(self) -> str:
        return normalise(self.name)


class Builtin(Extension, frozen=True, kw_only=True):
    """A bundled extension by its name; Goose's types `builtin` and `platform`. It bounds its own calls (a build may be
    silent for long), so that its timeout here is only the last resort."""

    timeout: float = 3600.0


class Stdio(Extension, frozen=True, kw_only=True):
    """A server that is started as a child process. `env` is added to the scrubbed base environment; `env_keys` are names
    of secrets that this extension, and no other, is given. `cwd` None is the workspace."""

    cmd: str
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    env_keys: tuple[str, ...] = ()
    cwd: str | None = None
    startup_timeout: float = STARTUP_TIMEOUT


class StreamableHttp(Extension, frozen=True, kw_only=True):
    """A server at a URL. `$NAME` and `${NAME}` in `uri` and `headers` stand for `env` values and `env_keys` secrets."""

    uri: str
    headers: dict[str, str] = {}
    env: dict[str, str] = {}
    env_keys: tuple[str, ...] = ()
    startup_timeout: float = STARTUP_TIMEOUT

    def __post_init__(self) -> None:
        Extension.__post_init__(self)
        if not self.uri.startswith(("http://", "https://")):
            raise UserError(f"extension {self.name!r}: uri is {self.uri!r}, it must begin with http:// or https://")


class InProcess(Extension, frozen=True, kw_only=True):
    """An MCP server object of this process: `server` is an `mcp.server.MCPServer` or low-level `Server`."""

    server: Any
    trusted: bool = False
    plain_names: bool = False
    startup_timeout: float = STARTUP_TIMEOUT


ExtensionSpec = Builtin | Stdio | StreamableHttp | InProcess


def normalise(name: str) -> str:
    """The name as it stands in tool names: lower case, white space gone, other characters "_", as Goose does; no run of
    "_", because "__" parts an extension's name from its tool's."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name if not c.isspace()).lower()
    while "__" in kept:
        kept = kept.replace("__", "_")
    return kept.strip("_")


def forbidden_env(env: dict[str, str]) -> tuple[str, ...]:
    """The names in `env` that an extension's settings may not set, sorted."""
    return tuple(sorted(n for n in env if n.upper() in FORBIDDEN_ENV or n.upper().startswith(("LD_", "DYLD_"))))


def identity(spec: Stdio | StreamableHttp) -> str:
    """SHA-256 over everything that decides which server answers, as lower-case hex: a change of it is another server,
    whose tools must be listed and approved anew. Limits and the choice of tools are no part of it."""
    fields = msgspec.to_builtins(spec)
    for limit in ("timeout", "startup_timeout", "available_tools", "description"):
        fields.pop(limit)
    text = json.dumps([type(spec).__name__, fields], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
