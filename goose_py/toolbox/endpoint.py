"""From the value that describes an extension to a way to connect to it.

Nothing is started and no SDK is loaded here until a session is asked for."""

import asyncio
import importlib
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from goose_py.protocol.errors import GooseError
from goose_py.toolbox.elicitation import Ask
from goose_py.toolbox.extension_host import ExtensionHost
from goose_py.toolbox.manifest import Manifest
from goose_py.toolbox.mcp_session import ConnectFailed, Session
from goose_py.toolbox.names import RemoteTool
from goose_py.toolbox.server_log import Journal
from goose_py.toolbox.spec import (
    STARTUP_TIMEOUT,
    Builtin,
    ExtensionSpec,
    InProcess,
    Stdio,
    StreamableHttp,
    forbidden_env,
    identity,
)

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")

Load = Callable[[Callable[[], Any]], Awaitable[Any]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How an extension is reached. `session(era)` builds a connection that is not open yet; `tools` are known where they
    need not be asked for; `identity` names its file of approved tools, "" for none; `problem` says why it cannot be
    reached at all."""

    kind: Literal["builtin", "stdio", "streamable_http", "in_process"]
    session: Callable[[str], Awaitable[Session]]
    journal: Journal
    trusted: bool = False
    plain_names: bool = False
    tools: tuple[RemoteTool, ...] | None = None
    identity: str = ""
    startup_timeout: float = STARTUP_TIMEOUT
    warnings: tuple[str, ...] = ()
    instructions: str = ""
    problem: str = ""


class _Way(msgspec.Struct, frozen=True, kw_only=True):
    """What every session of a toolbox is made with."""

    host: ExtensionHost
    ask: Ask | None
    version: str
    load: Load

    async def session(self, extension: str, target: Callable[[], Any], era: str) -> Session:
        client = await self.load(_wire_client)
        return client.McpSession(
            target(),
            extension=extension,
            version=self.version or "0",
            workspace_uri=(self.host.shown or self.host.workspace).absolute().as_uri(),
            ask=self.ask,
            era=era,
        )


def endpoint(
    spec: ExtensionSpec,
    *,
    host: ExtensionHost,
    bundled: Mapping[str, Path],
    logs: Path | None,
    ask: Ask | None,
    version: str,
    load: Load = asyncio.to_thread,
) -> Endpoint:
    """Imports no SDK, starts nothing, raises nothing: what is wrong is in `problem`."""
    way = _Way(host=host, ask=ask, version=version, load=load)
    match spec:
        case Builtin():
            return _builtin(spec, bundled, way)
        case InProcess():
            return _in_process(spec, way)
        case Stdio():
            return _stdio(spec, logs, way)
        case StreamableHttp():
            return _http(spec, way)


def _builtin(spec: Builtin, bundled: Mapping[str, Path], way: _Way) -> Endpoint:
    if spec.key not in bundled:
        there = ", ".join(sorted(bundled)) or "none"
        return _impossible(f"there is no bundled extension {spec.name!r}; the bundled ones are: {there}")
    try:
        manifest = Manifest.load(bundled[spec.key])
        tools = manifest.tools()
    except GooseError as error:
        return _impossible(str(error))

    async def session(era: str) -> Session:
        make = await way.load(manifest.load_in_process)
        host = way.host
        more = {} if host.cleaner is None else {"cleaner": host.cleaner}
        made = make(host.workspace, host.spawn, state=host.state, env=host.env, **host.standing, **more)
        if manifest.in_process:
            return (await way.load(_direct_session)).DirectSession(made)
        return await way.session(spec.key, lambda: made, era)

    return Endpoint(
        kind="builtin",
        session=session,
        journal=Journal(),
        trusted=True,
        plain_names=manifest.plain_names,
        tools=tools,
        instructions=manifest.instructions,
    )


def _impossible(problem: str) -> Endpoint:
    async def session(era: str) -> Session:
        raise ConnectFailed(problem)

    return Endpoint(kind="builtin", session=session, journal=Journal(), trusted=True, problem=problem)


def _in_process(spec: InProcess, way: _Way) -> Endpoint:
    async def session(era: str) -> Session:
        return await way.session(spec.key, lambda: spec.server, era)

    return Endpoint(
        kind="in_process",
        session=session,
        journal=Journal(),
        trusted=spec.trusted,
        plain_names=spec.plain_names,
        startup_timeout=spec.startup_timeout,
    )


def _stdio(spec: Stdio, logs: Path | None, way: _Way) -> Endpoint:
    secrets, missing = _secrets(spec.env_keys, way.host)
    journal = Journal(logs / f"{spec.key}.log" if logs else None, tuple(secrets.values()), way.host.redact)
    forbidden = forbidden_env(spec.env)

    async def session(era: str) -> Session:
        _refuse_missing(missing)
        stdio = await way.load(_wire_stdio)
        argv, env, cwd = _command(spec, secrets, way.host)

        def transport() -> Any:
            return stdio.StdioTransport(
                argv, env=env, cwd=cwd, journal=journal, extension=spec.key, on_process=way.host.on_process
            )

        return await way.session(spec.key, transport, era)

    return Endpoint(
        kind="stdio",
        session=session,
        journal=journal,
        identity=identity(spec),
        startup_timeout=spec.startup_timeout,
        warnings=tuple(f"{spec.key}: the setting env may not set {name}; it is left out" for name in forbidden),
    )


def _command(spec: Stdio, secrets: Mapping[str, str], host: ExtensionHost) -> tuple[list[str], dict[str, str], str]:
    """What is started: argv, environment, working folder. Raises ConnectFailed where that is clear not to work."""
    forbidden = forbidden_env(spec.env)
    own = {name: value for name, value in spec.env.items() if name not in forbidden}
    env = {**host.environment, **own, **secrets}
    cwd = str(host.workspace / spec.cwd) if spec.cwd else str(host.workspace)
    if not Path(cwd).is_dir():
        raise ConnectFailed(f"its folder {cwd} does not exist")
    _require_program(spec.cmd, cwd, env.get("PATH", ""))
    argv, env_started = host.launch([spec.cmd, *spec.args], env, cwd)
    return list(argv), dict(env_started), cwd


def _require_program(cmd: str, cwd: str, path: str) -> None:
    """Said here, because a sandbox would only say that it could not run something. Raises ConnectFailed."""
    if "/" not in cmd:
        if shutil.which(cmd, path=path) is None:
            raise ConnectFailed(f"its program {cmd!r} is not in PATH: install it, or give the whole path as its cmd")
        return
    program = Path(cwd, cmd)
    if not program.is_file():
        raise ConnectFailed(f"its program {program} does not exist: install it, or correct the extension's cmd")
    if not os.access(program, os.X_OK):
        raise ConnectFailed(f"its program {program} cannot be run: `chmod +x` it, or correct the extension's cmd")


def _http(spec: StreamableHttp, way: _Way) -> Endpoint:
    secrets, missing = _secrets(spec.env_keys, way.host)
    values = {**spec.env, **secrets}
    journal = Journal(secrets=tuple(secrets.values()))

    async def session(era: str) -> Session:
        _refuse_missing(missing)
        http = await way.load(_wire_http)
        uri = _filled(spec.uri, values)
        headers = {name: _filled(value, values) for name, value in spec.headers.items()}
        environment = way.host.environment
        return await way.session(spec.key, lambda: http.HttpTransport(uri, headers=headers, environment=environment), era)

    return Endpoint(
        kind="streamable_http",
        session=session,
        journal=journal,
        identity=identity(spec),
        startup_timeout=spec.startup_timeout,
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced by their values. Raises ConnectFailed for a name that has none."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values:
            raise ConnectFailed(f"its settings use ${name}, which is neither in its env nor one of its env_keys")
        return values[name]

    return _VARIABLE.sub(value, text)


def _secrets(names: tuple[str, ...], host: ExtensionHost) -> tuple[dict[str, str], tuple[str, ...]]:
    found = {name: value for name in names if (value := host.secret(name)) is not None}
    return found, tuple(name for name in names if name not in found)


def _refuse_missing(missing: tuple[str, ...]) -> None:
    if missing:
        raise ConnectFailed(f"it needs {', '.join(missing)}: set it in the environment, or with `goose-py configure`")


def _direct_session() -> Any:
    return importlib.import_module("goose_py.toolbox.direct_session")


def _wire_client() -> Any:
    importlib.import_module("jsonschema.validators")  # the first call needs it, and the event loop should not wait for it
    return importlib.import_module("goose_py.toolbox.wire.client")


def _wire_stdio() -> Any:
    return importlib.import_module("goose_py.toolbox.wire.stdio")


def _wire_http() -> Any:
    return importlib.import_module("goose_py.toolbox.wire.http")
