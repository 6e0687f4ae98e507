"""All extensions of one session as one set of tools: the `Tools` port of the agent.

What is offered is fixed once, by `settle`: it is part of the request's stable prefix. Whatever happens to a server after
that (it comes late, dies, lists other tools) is told through `on_change` and never changes what `specs()` answers.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec
from goose_py.toolbox import deferred
from goose_py.toolbox.approved_tools import ToolChange
from goose_py.toolbox.connection import BACKOFF, PROBE_TIMEOUT
from goose_py.toolbox.elicitation import Ask
from goose_py.toolbox.endpoint import endpoint
from goose_py.toolbox.extension import ExtensionStatus, LiveExtension, Resolved, StateChange, error_result
from goose_py.toolbox.extension_host import ExtensionHost
from goose_py.toolbox.repair import Repaired, repair, unknown_tool
from goose_py.toolbox.results import Shelf
from goose_py.toolbox.spec import Builtin, ExtensionSpec

T = TypeVar("T")


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Folders of this program's state. `approved_tools`: the tool lists of third-party servers, shared by all sessions.
    `results`: what did not fit into a result. `logs`: what servers print. None keeps nothing of the kind."""

    approved_tools: Path | None = None
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
        self._budget = schema_budget
        self._shelf = Shelf(folder=self._places.results, redact=host.redact)
        self._offered: tuple[ToolSpec, ...] | None = None
        self._extensions: dict[str, LiveExtension] = {}
        for spec in sorted(extensions, key=lambda spec: not isinstance(spec, Builtin)):
            if spec.key in self._extensions:
                self._extensions[spec.key].warn(f"{spec.key}: two extensions have this name; the second one is left out")
                continue
            self._extensions[spec.key] = LiveExtension(
                spec,
                endpoint(spec, host=host, bundled=bundled, logs=self._places.logs, ask=ask, version=version, load=load),
                taken=functools.partial(self._taken, spec.key),
                report=on_change,
                remembered=self._places.approved_tools,
                backoff=backoff,
                probe_timeout=probe_timeout,
            )

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
        if spec == deferred.USE_TOOL:
            target = self._find(mended.arguments["name"])
            if target is None or target.extension == deferred.EXTENSION:
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
            return error_result(call, resolved)
        if resolved.spec.extension == deferred.EXTENSION:
            return self._search(call, resolved)
        extension = self._extensions.get(resolved.spec.extension)
        if extension is None:
            return error_result(call, f"The extension {resolved.spec.extension!r} is not part of this session.")
        return await extension.call(resolved, on_output, self._shelf)

    def extensions(self) -> tuple[ExtensionStatus, ...]:
        return tuple(extension.status(self._offered or ()) for extension in self._extensions.values())

    def approve(self, changes: Sequence[ToolChange]) -> tuple[ToolChange, ...]:
        """Approve changed tools, as they were shown: one that has changed again since is not approved. Returns those that
        were. They can be called from now on; what the model was told of them in the prefix stays, so tell it
        `ToolChange.diff` where it matters."""
        return tuple(
            approved
            for extension in self._extensions.values()
            for approved in extension.approve([change for change in changes if change.extension == extension.key])
        )

    def restart(self, extension: str) -> None:
        """Start an extension's server again, whether it runs or is down for good. KeyError for an unknown extension."""
        self._extensions[extension].restart()

    async def close(self) -> None:
        """End all servers, in parallel; when it returns no process of theirs is left."""
        await asyncio.gather(*(extension.close() for extension in self._extensions.values()))

    # What is offered

    def _choose(self) -> tuple[ToolSpec, ...]:
        trusted = [tool for e in self._extensions.values() if e.trusted for tool in e.tools()]
        strangers = [extension for extension in self._extensions.values() if not extension.trusted]
        sources = [extension.source() for extension in strangers if extension.is_known or extension.is_starting]
        pending = any(extension.is_starting for extension in strangers)
        chosen = deferred.choose(sources, budget=self._budget, pending=pending) if sources else ()
        return tuple(sorted([*trusted, *chosen], key=lambda tool: tool.name))

    def _adopt(self, offered: tuple[ToolSpec, ...]) -> None:
        self._offered = offered
        for extension in self._extensions.values():
            if not extension.trusted:
                extension.pin([tool for tool in offered if tool.extension == extension.key])
            extension.freeze()

    def _taken(self, besides: str) -> set[str]:
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
        strangers = [extension for extension in self._extensions.values() if not extension.trusted]
        for extension in strangers:
            extension.freeze()
        sources = [extension.source() for extension in strangers]
        text = deferred.search(resolved.call.arguments["query"], sources, self._waiting())
        return ToolResult(call_id=call.id, content=(Text(text),))


def _named(call: ToolCall, spec: ToolSpec, mended: Repaired) -> ToolCall:
    return msgspec.structs.replace(call, name=spec.name, arguments=mended.arguments)
