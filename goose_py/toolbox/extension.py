"""One extension within a toolbox: its tools as they were approved, its connection, and what a person should know of it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec
from goose_py.toolbox import approved_tools, deferred
from goose_py.toolbox.approved_tools import ToolChange
from goose_py.toolbox.connection import Connection, Notice
from goose_py.toolbox.endpoint import Endpoint
from goose_py.toolbox.mcp_session import CallFailed, Reply, Session
from goose_py.toolbox.names import Origin, RemoteTool, admit, not_there
from goose_py.toolbox.results import MAX_TRUSTED_TEXT, Bounds, Shelf, convert, is_small
from goose_py.toolbox.server_log import plain
from goose_py.toolbox.spec import ExtensionSpec

READS_ONLY = "developer/reads_only"
"""Goes with a call of a bundled extension's that has to be carried out where nothing can be changed."""
REFUSED_WRITE = "developer/refused_write"
"""Comes with the result of one that failed because it wanted to change something."""
JOB = "developer/job"
"""Comes with the result of one of which something goes on in the background."""

_MAX_MESSAGE = 4000
_MAX_CUT_TEXT = 16_000


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to an extension. The first four fields are those of the event `ExtensionChanged`.

    `detail` says why, with the tail of the server's stderr. `warnings` name tools that are not offered, each once. `changes`
    are tools that are withheld until `Toolbox.approve`. `late`: its tools are not in `specs()`, `tool_search` finds them."""

    extension: str
    state: Notice
    detail: str = ""
    tools: int = 0
    warnings: tuple[str, ...] = ()
    changes: tuple[ToolChange, ...] = ()
    late: bool = False


class ExtensionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How an extension stands now. `tokens` is what its tools cost of the window in this session; `withheld` are changed
    tools that wait for an approval; `instructions` are a bundled extension's words for the system prompt."""

    extension: str
    kind: Literal["builtin", "stdio", "streamable_http", "in_process"]
    phase: str
    detail: str = ""
    tools: tuple[ToolSpec, ...] = ()
    offered: int = 0
    tokens: int = 0
    withheld: tuple[ToolChange, ...] = ()
    warnings: tuple[str, ...] = ()
    instructions: str = ""


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a call really runs: `call` has the tool's own name and mended arguments, `spec` is the tool. This is what a
    permission is asked for. `notes` say what was mended."""

    call: ToolCall
    spec: ToolSpec
    notes: tuple[str, ...] = ()


class LiveExtension:
    """`taken` are the names that the toolbox's other tools have; `report` hears of every change; `remembered` is the folder
    of approved listings."""

    def __init__(
        self,
        spec: ExtensionSpec,
        endpoint: Endpoint,
        *,
        taken: Callable[[], set[str]],
        report: Callable[[StateChange], None],
        remembered: Path | None,
        backoff: tuple[float, ...],
        probe_timeout: float,
    ) -> None:
        self.key = spec.key
        self.trusted = endpoint.trusted
        self.detail = endpoint.problem
        self._spec = spec
        self._endpoint = endpoint
        self._taken = taken
        self._tell = report
        self._remembered = remembered
        self._origin = Origin(extension=spec.key, trusted=endpoint.trusted, plain_names=endpoint.plain_names)
        self._standing = endpoint.warnings
        self._rejected: tuple[str, ...] = ()
        self._warned: set[str] = set()
        self._approved: dict[str, ToolSpec] | None = None
        self._changes: dict[str, ToolChange] = {}
        self._started = False
        self._frozen = False
        self._is_late = False
        self._connection: Connection | None = None
        if not endpoint.problem:
            self._connection = Connection(
                self._session,
                name=spec.key,
                startup_timeout=endpoint.startup_timeout,
                on_listing=self._listed,
                on_notice=self._noticed,
                tail=endpoint.journal.tail,
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
        connecting = self._connection is not None and self._connection.phase in ("idle", "connecting")
        return not self.is_known and self._started and connecting

    def tools(self) -> tuple[ToolSpec, ...]:
        """The approved tools that the user chose, sorted by the names under which they are offered."""
        only = self._spec.available_tools
        chosen = [tool for tool in (self._approved or {}).values() if not only or tool.remote_name in only]
        return tuple(sorted(chosen, key=lambda tool: tool.name))

    def source(self) -> deferred.Source:
        return deferred.Source(extension=self.key, description=self._spec.description, tools=self.tools())

    def status(self, offered: Sequence[ToolSpec]) -> ExtensionStatus:
        mine = [tool for tool in offered if tool.extension == self.key]
        return ExtensionStatus(
            extension=self.key,
            kind=self._endpoint.kind,
            phase="failed" if self._connection is None else self._connection.phase,
            detail=self.detail,
            tools=self.tools(),
            offered=len(mine),
            tokens=sum(map(deferred.tokens, mine)),
            withheld=tuple(self._changes.values()),
            warnings=self.warnings,
            instructions=self._endpoint.instructions,
        )

    # Its life

    def start(self) -> None:
        if self._started:
            return
        self._started = True
        if self._connection is None:
            self._report("failed", self.detail)
            return
        if self._endpoint.tools is not None:
            self._approved, self._rejected = self._admit(self._endpoint.tools)
        elif (listing := self._load()) is not None:
            self._frozen = True
            self._approved = {tool.remote_name: tool for tool in approved_tools.trusted_never(listing.tools, self.key)}
        if self._endpoint.tools is not None or not self.is_known:
            self._connection.start()

    async def known(self) -> None:
        """Wait until its tools are known, or that they will not be."""
        if self._connection is not None and not self.is_known:
            await self._connection.settled()

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
        if self._connection is not None:
            await self._connection.close()

    async def _session(self) -> Session:
        listing = self._load()
        self._endpoint.journal.clear()
        return await self._endpoint.session(listing.era if listing else "")

    # Its tools

    def _admit(self, tools: Sequence[RemoteTool]) -> tuple[dict[str, ToolSpec], tuple[str, ...]]:
        specs, rejected = admit(self._origin, tools, self._taken())
        missing = not_there(self.key, self._spec.available_tools, tools)
        return {spec.remote_name: spec for spec in specs}, (*rejected, *missing)

    def _listed(self, tools: tuple[RemoteTool, ...], era: str) -> None:
        """The server has listed its tools: the first time they are pinned, later they are compared."""
        now, self._rejected = self._admit(tools)
        if self._approved is None or not (self._frozen or self.trusted):
            self._approved = now
            self._save(era)
            return
        changes = approved_tools.compare(self.key, self._approved, tuple(now.values()))
        if self.trusted:
            if changes and self._endpoint.tools is not None:
                self.warn(f"{self.key}: tools.json is not what the server lists: {_listed_changes(changes)}")
            return
        told = changes != self._changes
        self._changes = changes
        if not changes:
            self._save(era)
        elif told and self._connection is not None and self._connection.phase == "listing":
            self._report("ready", "")

    def approve(self, seen: Sequence[ToolChange]) -> tuple[ToolChange, ...]:
        """Approve exactly these changes; those that are not what the server lists now are left out."""
        chosen = [change for change in seen if self._changes.get(change.tool) == change]
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

    def restart(self) -> None:
        if self._connection is not None:
            self._connection.restart()

    def _load(self) -> approved_tools.Listing | None:
        if self._remembered is None or not self._endpoint.identity:
            return None
        return approved_tools.load(self._remembered, self._endpoint.identity)

    def _save(self, era: str) -> None:
        if self._remembered is None or not self._endpoint.identity:
            return
        before = self._load()
        tools = tuple((self._approved or {}).values())
        listing = approved_tools.Listing(extension=self.key, era=era or (before.era if before else ""), tools=tools)
        if listing == before:
            return
        try:
            approved_tools.save(self._remembered, self._endpoint.identity, listing)
        except OSError as error:
            self.warn(f"{self.key}: its tools cannot be remembered in {self._remembered}: {error.strerror}")

    # Telling of it

    def _noticed(self, state: Notice, detail: str) -> None:
        self.detail = detail if state == "failed" else ""
        self._report(state, detail)

    def _report(self, state: Notice, detail: str) -> None:
        changes = tuple(self._changes.values())
        warnings = tuple(warning for warning in self.warnings if warning not in self._warned)
        self._warned.update(warnings)
        if changes:
            withheld = f"withheld until you approve them: {_listed_changes(self._changes)}"
            detail = f"{detail}\n{withheld}" if detail else withheld
        self._tell(
            StateChange(
                extension=self.key,
                state=state,
                detail=detail,
                tools=len(self.tools()),
                warnings=warnings,
                changes=changes,
                late=state == "ready" and self._is_late,
            )
        )

    # Calling it

    async def call(self, resolved: Resolved, on_output: Callable[[str], None], shelf: Shelf) -> ToolResult:
        call, spec = resolved.call, resolved.spec
        if self._connection is None:
            return error_result(call, f"The extension {self.key!r} cannot be used: {self.detail}")
        try:
            session = await self._connection.ready()
        except CallFailed as error:
            return error_result(call, f"{call.name} was not run: the extension {self.key!r} is not available: {error}")
        self.freeze()
        if spec.remote_name not in (self._approved or {}):
            return error_result(call, f"{call.name} was not run: its extension does not offer it any more.")
        if (change := self._changes.get(spec.remote_name)) is not None:
            return error_result(call, _withheld(call.name, change))
        try:
            reply = await self._connection.call(
                session,
                spec.remote_name,
                call.arguments,
                meta={READS_ONLY: True} if call.reads_only and self.trusted else {},
                on_progress=self._output(on_output),
                timeout=self._spec.timeout,
            )
        except CallFailed as error:
            return error_result(call, self._failed(call, error))
        return await self._result(resolved, reply, shelf)

    def _output(self, on_output: Callable[[str], None]) -> Callable[[str], None]:
        """A bundled tool's progress messages are pieces of its output; a stranger's are lines about it."""
        if self.trusted:
            return on_output
        return lambda message: on_output(f"{plain(message[:_MAX_MESSAGE])}\n") if message else None

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
        return f"{call.name} failed: {plain(self._endpoint.journal.redact(str(error)[:_MAX_MESSAGE]))}"

    async def _result(self, resolved: Resolved, reply: Reply, shelf: Shelf) -> ToolResult:
        call = resolved.call
        if reply.size:
            return error_result(call, _too_long(call.name, reply))
        bounds = Bounds(text=MAX_TRUSTED_TEXT) if self.trusted else Bounds()

        def converted() -> Any:
            return convert(reply.content, reply.structured, shelf=shelf, stem=call.name, bounds=bounds)

        content = converted() if is_small(reply.content) else await asyncio.to_thread(converted)
        if resolved.notes:
            content = (*content, Text(f"(Arguments were mended: {'; '.join(resolved.notes)}.)"))
        refused = call.reads_only and self.trusted and reply.meta.get(REFUSED_WRITE) is True
        running = self.trusted and JOB in reply.meta
        return ToolResult(
            call_id=call.id, content=content, is_error=reply.is_error, refused_write=refused, still_running=running
        )


def error_result(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call_id=call.id, content=(Text(text),), is_error=True)


def _too_long(name: str, reply: Reply) -> str:
    shown = reply.text[:_MAX_CUT_TEXT]
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
