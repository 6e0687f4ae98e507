"""All extensions of one session as one set of tools: the `Tools` port of the agent.

What is offered is fixed once, by `settle`: it is part of the request's stable prefix. Whatever happens to a server after
that (it comes late, dies, lists other tools) is told through `on_change` and never changes what `specs()` answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec
from goose_py.toolbox import catalogue, deferred, pins
from goose_py.toolbox.connection import BACKOFF, PROBE_TIMEOUT, Connection, Notice
from goose_py.toolbox.elicitation import Ask
from goose_py.toolbox.host import ExtensionHost
from goose_py.toolbox.journal import plain
from goose_py.toolbox.launching import Launching, launching
from goose_py.toolbox.names import Origin, RemoteTool, admit
from goose_py.toolbox.pins import ToolChange
from goose_py.toolbox.repair import Repaired, repair, unknown_tool
from goose_py.toolbox.results import MAX_TRUSTED_TEXT, Bounds, Shelf, convert, is_small
from goose_py.toolbox.session import CallFailed, Reply, Session
from goose_py.toolbox.spec import Builtin, ExtensionSpec

T = TypeVar("T")


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to an extension. The first four fields are those of the event `ExtensionChanged`.

    `detail` says why, with the tail of the server's stderr. `warnings` name tools that are not offered. `changes` are
    tools that are withheld until `Toolbox.approve`. `late`: its tools are not in `specs()`, `tool_search` finds them."""

    extension: str
    state: Notice
    detail: str = ""
    tools: int = 0
    warnings: tuple[str, ...] = ()
    changes: tuple[ToolChange, ...] = ()
    late: bool = False


class ExtensionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How an extension stands now. `tokens` is what its tools cost of the window in this session; `withheld` are changed
    tools that wait for an approval."""

    extension: str
    kind: Literal["builtin", "stdio", "streamable_http", "in_process"]
    phase: str
    detail: str = ""
    tools: tuple[ToolSpec, ...] = ()
    offered: int = 0
    tokens: int = 0
    withheld: tuple[ToolChange, ...] = ()
    warnings: tuple[str, ...] = ()


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a call really runs: `call` has the tool's own name and mended arguments, `spec` is the tool. This is what a
    permission is asked for. `notes` say what was mended."""

    call: ToolCall
    spec: ToolSpec
    notes: tuple[str, ...] = ()


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Folders of this program's state. `catalogue`: approved tool lists of third-party servers, shared by all sessions.
    `results`: what did not fit into a result. `logs`: what servers print. None keeps nothing of the kind."""

    catalogue: Path | None = None
    results: Path | None = None
    logs: Path | None = None


class Toolbox:
    """`async with Toolbox(...) as toolbox: await toolbox.settle(10.0)`, then `specs` and `call`.

    `bundled` maps names of bundled extensions to their folders. `ask` answers the questions that servers put to the user;
    without it they are declined. `load` runs slow imports: `asyncio.to_thread`, unless the program has one thread for all
    of its imports. `on_change` is called in the event loop and must not block."""

    def __init__(
        self,
        extensions: Sequence[ExtensionSpec],
        *,
        host: ExtensionHost,
        bundled: Mapping[str, Path],
        on_change: Callable[[StateChange], None] = lambda change: None,
        places: Places | None = None,
        ask: Ask | None = None,
        version: str = "",
        schema_budget: int = deferred.SCHEMA_BUDGET,
        backoff: tuple[float, ...] = BACKOFF,
        probe_timeout: float = PROBE_TIMEOUT,
        load: Callable[[Callable[[], T]], Awaitable[T]] = asyncio.to_thread,
    ) -> None:
        self._places = places or Places()
        self._on_change = on_change
        self._budget = schema_budget
        self._shelf = Shelf(folder=self._places.results)
        self._offered: tuple[ToolSpec, ...] | None = None
        self._extensions: dict[str, _Extension] = {}
        for spec in sorted(extensions, key=lambda spec: not isinstance(spec, Builtin)):
            way = launching(spec, host=host, bundled=bundled, logs=self._places.logs, ask=ask, version=version, load=load)
            if spec.key in self._extensions:
                self._extensions[spec.key].warn(f"{spec.key}: two extensions have this name; the second one is left out")
                continue
            self._extensions[spec.key] = _Extension(spec, way, self, backoff, probe_timeout)

    async def __aenter__(self) -> "Toolbox":
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Begin: built-in tools are known when it returns, and connect in the background; third-party servers start only
        where their tools are not known from an earlier session."""
        for extension in self._extensions.values():
            extension.start()

    async def settle(self, seconds: float, *, offered: Sequence[ToolSpec] | None = None) -> tuple[ToolSpec, ...]:
        """Fix what is offered, after waiting at most `seconds` for the servers whose tools are not known yet, and return
        it. `offered` is the prefix of a session that is resumed: it is kept as it is, and what it has of third-party
        tools is what was approved.

        A second call changes nothing."""
        if self._offered is not None:
            return self._offered
        if offered is not None:
            self._adopt(tuple(offered))
            return self.specs()
        waiting = [asyncio.create_task(extension.known()) for extension in self._extensions.values()]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        for task in waiting:
            task.cancel()
        self._offered = self._choose()
        for extension in self._extensions.values():
            extension.freeze()
        return self._offered

    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools on offer, sorted by name. Before `settle` those that are known so far."""
        return self._choose() if self._offered is None else self._offered

    def resolve(self, call: ToolCall) -> Resolved | str:
        """What `call` would run, with its arguments mended, or one sentence for the model that says why it cannot run.

        Ask for permission for what this returns: `use_tool` is only a way to reach another tool."""
        if call.malformed is not None:
            return f"The arguments of {call.name} are not one JSON object: send them again as valid JSON."
        spec = self._find(call.name)
        if spec is None:
            return unknown_tool(call.name, self._names())
        mended = repair(call.arguments, spec.input_schema)
        if isinstance(mended, str):
            return f"{spec.name}: {mended}"
        notes = mended.notes
        if spec.name == deferred.USE and not spec.extension:
            target = self._find(mended.arguments["name"])
            if target is None or not target.extension:
                return self._not_found(mended.arguments["name"])
            inner = repair(mended.arguments.get("arguments", {}), target.input_schema)
            if isinstance(inner, str):
                return f"{target.name}: {inner}"
            spec, mended, notes = target, inner, notes + inner.notes
        return Resolved(call=_named(call, spec, mended), spec=spec, notes=notes)

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        """See the port `Tools`. Every failure is a result; only cancellation is raised."""
        resolved = self.resolve(call)
        if isinstance(resolved, str):
            return _error(call, resolved)
        if not resolved.spec.extension:
            return self._search(call, resolved)
        extension = self._extensions.get(resolved.spec.extension)
        if extension is None:
            return _error(call, f"The extension {resolved.spec.extension!r} is not part of this session.")
        return await extension.call(resolved, on_output, self._shelf)

    def extensions(self) -> tuple[ExtensionStatus, ...]:
        return tuple(extension.status(self._offered or ()) for extension in self._extensions.values())

    def approve(self, extension: str, tools: Sequence[str] | None = None) -> tuple[ToolChange, ...]:
        """Approve changed tools of an extension by their own names, None for all; what was approved. They can be called
        from now on. What the model was told of them in the prefix stays: tell it `ToolChange.diff` where it matters."""
        known = self._extensions.get(extension)
        return () if known is None else known.approve(tools)

    def restart(self, extension: str) -> None:
        """Start an extension's server again although it is down for good."""
        if extension in self._extensions and (connection := self._extensions[extension].connection):
            connection.restart()

    async def close(self) -> None:
        """End all servers, in parallel; when it returns no process of theirs is left."""
        await asyncio.gather(*(extension.close() for extension in self._extensions.values()))

    # What is offered

    def _choose(self) -> tuple[ToolSpec, ...]:
        trusted = [tool for e in self._extensions.values() if e.way.trusted for tool in e.tools()]
        strangers = [extension for extension in self._extensions.values() if not extension.way.trusted]
        sources = [extension.source() for extension in strangers if extension.is_known or extension.is_starting]
        pending = any(extension.is_starting for extension in strangers)
        chosen = deferred.choose(sources, budget=self._budget, pending=pending) if sources else ()
        return tuple(sorted([*trusted, *chosen], key=lambda tool: tool.name))

    def _adopt(self, offered: tuple[ToolSpec, ...]) -> None:
        self._offered = offered
        for extension in self._extensions.values():
            if not extension.way.trusted:
                extension.pin([tool for tool in offered if tool.extension == extension.key])
            extension.freeze()

    def taken(self, besides: str) -> set[str]:
        """The names that other extensions' tools and ours have."""
        names = {deferred.SEARCH, deferred.USE}
        for key, extension in self._extensions.items():
            if key != besides:
                names.update(tool.name for tool in extension.tools())
        return names

    # Finding a tool

    def _names(self) -> list[str]:
        names = {tool.name for tool in self.specs()}
        names.update(tool.name for extension in self._extensions.values() for tool in extension.tools())
        return sorted(names)

    def _find(self, name: str) -> ToolSpec | None:
        """A tool by the name that the model uses. What was approved last counts: after a change that was approved the
        arguments must fit the new schema. Tools that are only to be found by `tool_search` may be called directly too."""
        for extension in self._extensions.values():
            for tool in extension.tools():
                if tool.name == name:
                    return tool
        return next((tool for tool in self.specs() if tool.name == name), None)

    def _not_found(self, name: str) -> str:
        states = self._waiting()
        told = "".join(f" The extension {key} {state}." for key, state in states.items())
        return f"{unknown_tool(name, self._names())}{told}"

    def _waiting(self) -> dict[str, str]:
        states = {}
        for key, extension in self._extensions.items():
            if extension.is_starting:
                states[key] = "is still starting"
            elif not extension.is_known:
                states[key] = f"cannot be used: {extension.detail}"
        return states

    def _search(self, call: ToolCall, resolved: Resolved) -> ToolResult:
        strangers = [extension for extension in self._extensions.values() if not extension.way.trusted]
        for extension in strangers:
            extension.freeze()
        sources = [extension.source() for extension in strangers]
        text = deferred.search(resolved.call.arguments["query"], sources, self._waiting())
        return ToolResult(call_id=call.id, content=(Text(text),))

    def report(self, change: StateChange) -> None:
        self._on_change(change)


class _Extension:
    """One extension within a toolbox: its tools as approved, its connection, and what a person should know of it."""

    def __init__(
        self,
        spec: ExtensionSpec,
        way: Launching,
        toolbox: Toolbox,
        backoff: tuple[float, ...],
        probe_timeout: float,
    ) -> None:
        self.key = spec.key
        self.way = way
        self._standing = way.warnings
        self._rejected: tuple[str, ...] = ()
        self.detail = way.problem
        self._spec = spec
        self._toolbox = toolbox
        self._origin = Origin(extension=spec.key, trusted=way.trusted, plain_names=way.plain_names, only=spec.available_tools)
        self._approved: dict[str, ToolSpec] | None = None
        self._changes: dict[str, ToolChange] = {}
        self._started = False
        self._frozen = False
        self._is_late = False
        self.connection: Connection | None = None
        if not way.problem:
            self.connection = Connection(
                self._session,
                name=spec.key,
                startup_timeout=way.startup_timeout,
                on_listing=self._listed,
                on_notice=self._noticed,
                tail=way.journal.tail,
                backoff=backoff,
                probe_timeout=probe_timeout,
            )

    # What is known

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self._standing, *self._rejected)

    def warn(self, text: str) -> None:
        if text not in self._standing:
            self._standing += (text,)

    @property
    def is_known(self) -> bool:
        """Its tools are known, connected or not."""
        return self._approved is not None

    @property
    def is_starting(self) -> bool:
        connecting = self.connection is not None and self.connection.phase in ("idle", "connecting")
        return not self.is_known and self._started and connecting

    def tools(self) -> tuple[ToolSpec, ...]:
        """The approved tools, by the names under which they are offered, sorted."""
        return tuple(sorted((self._approved or {}).values(), key=lambda tool: tool.name))

    def source(self) -> deferred.Source:
        return deferred.Source(extension=self.key, description=self._spec.description, tools=self.tools())

    def status(self, offered: Sequence[ToolSpec]) -> ExtensionStatus:
        mine = [tool for tool in offered if tool.extension == self.key]
        return ExtensionStatus(
            extension=self.key,
            kind=self.way.kind,
            phase="failed" if self.connection is None else self.connection.phase,
            detail=self.detail,
            tools=self.tools(),
            offered=len(mine),
            tokens=sum(map(deferred.tokens, mine)),
            withheld=tuple(self._changes.values()),
            warnings=self.warnings,
        )

    # Its life

    def start(self) -> None:
        if self._started:
            return
        self._started = True
        if self.connection is None:
            self._report("failed", self.detail)
            return
        if self.way.tools is not None:
            self._approved, self._rejected = self._admit(self.way.tools)
        elif (listing := self._load()) is not None:
            self._frozen = True
            kept = catalogue.trusted_never(listing.tools, self.key)
            only = self._spec.available_tools
            self._approved = {t.remote_name: t for t in kept if not only or t.remote_name in only}
        if self.way.tools is not None or not self.is_known:
            self.connection.start()

    async def known(self) -> None:
        """Wait until its tools are known, or that they will not be."""
        if self.connection is not None and not self.is_known:
            await self.connection.settled()

    def pin(self, tools: Sequence[ToolSpec]) -> None:
        """Take tools of a logged prefix for what was approved, beside what is known already."""
        if tools:
            self._approved = {**(self._approved or {}), **{tool.remote_name: tool for tool in tools}}

    def freeze(self) -> None:
        """From here on another listing is a change. Before its tools were shown or used it is not: some servers add tools
        once they have learnt what the client can do."""
        self._frozen = self.is_known
        self._is_late = not self.is_known

    async def close(self) -> None:
        if self.connection is not None:
            await self.connection.close()

    async def _session(self) -> Session:
        listing = self._load()
        self.way.journal.clear()
        return await self.way.session(listing.era if listing else "")

    # Its tools

    def _admit(self, tools: Sequence[RemoteTool]) -> tuple[dict[str, ToolSpec], tuple[str, ...]]:
        specs, rejected = admit(self._origin, tools, self._toolbox.taken(self.key))
        return {spec.remote_name: spec for spec in specs}, rejected

    def _listed(self, tools: tuple[RemoteTool, ...], era: str) -> None:
        """The server has listed its tools: the first time they are pinned, later they are compared."""
        now, self._rejected = self._admit(tools)
        if self._approved is None or not (self._frozen or self.way.trusted):
            self._approved = now
            self._save(era)
            return
        changes = pins.compare(self.key, self._approved, tuple(now.values()))
        if self.way.trusted:
            if changes and self.way.tools is not None:
                self.warn(f"{self.key}: tools.json is not what the server lists: {_listed_changes(changes)}")
            return
        told = changes != self._changes
        self._changes = changes
        if not changes:
            self._save(era)
        elif told and self.connection is not None and self.connection.phase == "listing":
            self._report("ready", "")

    def approve(self, tools: Sequence[str] | None) -> tuple[ToolChange, ...]:
        chosen = [change for name, change in self._changes.items() if tools is None or name in tools]
        approved = dict(self._approved or {})
        for change in chosen:
            del self._changes[change.tool]
            approved.pop(change.tool, None)
            if change.after is not None:
                approved[change.tool] = change.after
        if chosen:
            self._approved = approved
            self._save("")
        return tuple(chosen)

    def _load(self) -> catalogue.Listing | None:
        folder = self._toolbox._places.catalogue
        return catalogue.load(folder, self.way.identity) if folder is not None and self.way.identity else None

    def _save(self, era: str) -> None:
        folder = self._toolbox._places.catalogue
        if folder is None or not self.way.identity or self._spec.available_tools:
            return
        before = self._load()
        listing = catalogue.Listing(extension=self.key, era=era or (before.era if before else ""), tools=self.tools())
        if listing == before:
            return
        try:
            catalogue.save(folder, self.way.identity, listing)
        except OSError as error:
            self.warn(f"{self.key}: its tools cannot be remembered in {folder}: {error.strerror}")

    # Telling of it

    def _noticed(self, state: Notice, detail: str) -> None:
        self.detail = detail if state == "failed" else ""
        self._report(state, detail)

    def _report(self, state: Notice, detail: str) -> None:
        changes = tuple(self._changes.values())
        if changes:
            withheld = f"withheld until you approve them: {_listed_changes(self._changes)}"
            detail = f"{detail}\n{withheld}" if detail else withheld
        self._toolbox.report(
            StateChange(
                extension=self.key,
                state=state,
                detail=detail,
                tools=len(self._approved or ()),
                warnings=self.warnings,
                changes=changes,
                late=state == "ready" and self._is_late,
            )
        )

    # Calling it

    async def call(self, resolved: Resolved, on_output: Callable[[str], None], shelf: Shelf) -> ToolResult:
        call, spec = resolved.call, resolved.spec
        if self.connection is None:
            return _error(call, f"The extension {self.key!r} cannot be used: {self.detail}")
        try:
            session = await self.connection.ready()
        except CallFailed as error:
            return _error(call, f"{call.name} was not run: the extension {self.key!r} is not available: {error}")
        self.freeze()
        if (change := self._changes.get(spec.remote_name)) is not None:
            return _error(call, _withheld(call.name, change))
        try:
            reply = await self.connection.call(
                session,
                spec.remote_name,
                call.arguments,
                on_progress=self._output(on_output),
                timeout=self._spec.timeout,
            )
        except CallFailed as error:
            return _error(call, self._failed(call, error))
        return await self._result(resolved, reply, shelf)

    def _output(self, on_output: Callable[[str], None]) -> Callable[[str], None]:
        """A bundled tool's progress messages are pieces of its output; a stranger's are lines about it."""
        if self.way.trusted:
            return on_output
        return lambda message: on_output(f"{plain(message)}\n") if message else None

    def _failed(self, call: ToolCall, error: CallFailed) -> str:
        if error.timed_out:
            return (
                f"{call.name} gave no sign of life for {self._spec.timeout:g} s and was told to stop. "
                "What it had done by then is not known."
            )
        if error.lost:
            return (
                f"{call.name} was interrupted: {error}. Whether it took effect is not known, and it was not sent again: "
                f"look before you repeat it. The extension {self.key!r} is started again."
            )
        return f"{call.name} failed: {self.way.journal.redact(str(error))}"

    async def _result(self, resolved: Resolved, reply: Reply, shelf: Shelf) -> ToolResult:
        call = resolved.call
        if reply.size:
            return _error(call, _too_long(call.name, reply))
        bounds = Bounds(text=MAX_TRUSTED_TEXT) if self.way.trusted else Bounds()

        def converted() -> Any:
            return convert(reply.content, reply.structured, shelf=shelf, stem=call.name, bounds=bounds)

        content = converted() if is_small(reply.content) else await asyncio.to_thread(converted)
        if resolved.notes:
            content = (*content, Text(f"(Arguments were mended: {'; '.join(resolved.notes)}.)"))
        return ToolResult(call_id=call.id, content=content, is_error=reply.is_error)


def _named(call: ToolCall, spec: ToolSpec, mended: Repaired) -> ToolCall:
    return ToolCall(id=call.id, name=spec.name, arguments=mended.arguments)


def _error(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call_id=call.id, content=(Text(text),), is_error=True)


def _too_long(name: str, reply: Reply) -> str:
    shown = reply.text[:16_000]
    note = f"{name} answered with {reply.size:,} bytes or more, which is too long to be read"
    if not shown:
        return f"{note}: nothing of it is shown. Ask it for less."
    return f"{shown}\n[… {note}: only the first {len(shown):,} characters are shown. Ask it for less. …]"


def _withheld(name: str, change: ToolChange) -> str:
    if change.kind == "removed":
        return f"{name} was not run: its extension does not offer it any more."
    return (
        f"{name} was not run: its extension has changed it since it was approved, and it is withheld until the user "
        "approves the change. Go on without it."
    )


def _listed_changes(changes: Mapping[str, ToolChange]) -> str:
    return ", ".join(str(change) for change in changes.values())
