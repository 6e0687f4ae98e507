"""One batch of tool calls: resolve → authorize → run → answer. Every call gets exactly one result, also on cancel."""

import asyncio
import json
from collections.abc import Callable, Sequence

import msgspec

from goose_py.agent.context import unanswered
from goose_py.agent.ports import Authorize, Emit, Resolved, Tools
from goose_py.protocol.deltas import ToolOutput
from goose_py.protocol.events import ToolFinished, ToolStarted
from goose_py.protocol.messages import Text, ToolCall, ToolResult

SHOWN_ARGUMENTS = 400


class _Item(msgspec.Struct, frozen=True):
    """A call as the model sent it, and what it comes to: something to run, or a sentence why it cannot be run."""

    call: ToolCall
    meant: Resolved | str

    @property
    def reads_only(self) -> bool:
        return isinstance(self.meant, str) or self.meant.spec.read_only


class Batch:
    """The calls of one reply. `run` answers all of them; `refuse` does, too, without running any."""

    def __init__(self, calls: Sequence[ToolCall], emit: Emit, now: Callable[[], float]) -> None:
        self._calls = calls
        self._emit = emit
        self._now = now
        self._started: dict[str, float] = {}
        self._answered: set[str] = set()

    async def run(self, tools: Tools, authorize: Authorize) -> bool:
        """In order; neighbours that only read run side by side. Returns False where not one call could be used."""
        items = [_Item(call, resolve(call, tools)) for call in self._calls]
        try:
            for group in _groups(items):
                await self._run_group(group, tools, authorize)
        except BaseException:
            self._settle()
            raise
        return not all(isinstance(item.meant, str) for item in items)

    def refuse(self, why: str) -> None:
        for call in self._calls:
            self._finish(call, failure(call, why))

    async def _run_group(self, group: list[_Item], tools: Tools, authorize: Authorize) -> None:
        if len(group) == 1:
            await self._run_one(group[0], tools, authorize)
            return
        try:
            async with asyncio.TaskGroup() as together:
                for item in group:
                    together.create_task(self._run_one(item, tools, authorize))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _run_one(self, item: _Item, tools: Tools, authorize: Authorize) -> None:
        call, meant = item.call, item.meant
        if isinstance(meant, str):
            self._finish(call, failure(call, meant))
            return
        allowed = await authorize(meant.call, meant.spec)
        if isinstance(allowed, str):
            self._finish(call, failure(call, allowed))
            return
        began = self._started[call.id] = self._now()
        self._emit(ToolStarted(call=allowed))
        result = await tools.call(allowed, lambda text: self._emit(ToolOutput(call_id=call.id, text=text)))
        self._finish(call, _with_notes(result, meant.notes), self._now() - began)

    def _finish(self, call: ToolCall, result: ToolResult, seconds: float = 0.0) -> None:
        self._answered.add(call.id)
        self._emit(ToolFinished(result=msgspec.structs.replace(result, call_id=call.id), seconds=round(seconds, 4)))

    def _settle(self) -> None:
        for call in self._calls:
            if call.id not in self._answered:
                began = self._started.get(call.id)
                seconds = self._now() - began if began is not None else 0.0
                self._finish(call, unanswered(call, started=began is not None), seconds)


def resolve(call: ToolCall, tools: Tools) -> Resolved | str:
    """What the call comes to, or the sentence that tells the model what is wrong with it."""
    if call.malformed is None:
        return tools.resolve(call)
    return (
        f"The arguments of {call.name or 'this call'} are {_what_is_wrong(call.malformed)}, so nothing was run. "
        f"Send the call again. What arrived: {call.malformed[:SHOWN_ARGUMENTS]}"
    )


def failure(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call_id=call.id, content=(Text(text),), is_error=True)


def _what_is_wrong(raw: str) -> str:
    try:
        value = json.loads(raw)
    except json.JSONDecodeError as error:
        return f"not valid JSON ({error.msg} at line {error.lineno} column {error.colno})"
    except ValueError:
        return "not usable: they hold a number of thousands of digits"
    except RecursionError:
        return "nested too deep"
    return "nested too deep" if isinstance(value, dict) else f"not a JSON object but {type(value).__name__}"


def _groups(items: Sequence[_Item]) -> list[list[_Item]]:
    """Runs of calls that may go side by side; a call that may change something is alone."""
    groups: list[list[_Item]] = []
    for item in items:
        if groups and item.reads_only and groups[-1][-1].reads_only:
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def _with_notes(result: ToolResult, notes: tuple[str, ...]) -> ToolResult:
    if not notes:
        return result
    return msgspec.structs.replace(result, content=(*result.content, Text(f"(Arguments were mended: {'; '.join(notes)}.)")))
