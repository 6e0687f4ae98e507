"""One batch of tool calls: prepare → authorize → run → answer. Every call gets exactly one result, also on cancel."""

import asyncio
from collections.abc import Callable, Sequence
from difflib import get_close_matches

import msgspec

from goose_py.agent.ports import Authorize, Emit, Tools
from goose_py.protocol.deltas import ToolOutput
from goose_py.protocol.events import ToolFinished, ToolStarted
from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec
from goose_py.toolbox.repair import repair

INTERRUPTED = "Interrupted by the user."


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A call that can run as it stands: its arguments were repaired where that is documented and then fit the schema."""

    call: ToolCall
    spec: ToolSpec
    notes: tuple[str, ...] = ()


async def run_calls(
    calls: Sequence[ToolCall], tools: Tools, authorize: Authorize, emit: Emit, now: Callable[[], float]
) -> bool:
    """Runs the batch in order; neighbours that only read run side by side. Returns True where not one call was usable."""
    specs = {spec.name: spec for spec in tools.specs()}
    prepared = [prepare(call, specs) for call in calls]
    done: set[str] = set()

    def finish(call: ToolCall, result: ToolResult, seconds: float = 0.0) -> None:
        done.add(call.id)
        emit(ToolFinished(result=result, seconds=round(seconds, 4)))

    async def run_one(call: ToolCall, item: "Prepared | str") -> None:
        if isinstance(item, str):
            finish(call, failure(call, item))
            return
        refusal = await authorize(item.call, item.spec)
        if refusal is not None:
            finish(call, failure(call, refusal))
            return
        emit(ToolStarted(call=item.call))
        started = now()
        result = await tools.call(item.call, lambda text: emit(ToolOutput(call_id=call.id, text=text)))
        finish(call, _with_notes(result, item.notes), now() - started)

    try:
        for group in _groups(list(zip(calls, prepared, strict=True))):
            if len(group) == 1:
                await run_one(*group[0])
            else:
                async with asyncio.TaskGroup() as together:
                    for call, item in group:
                        together.create_task(run_one(call, item))
    except BaseExceptionGroup as failures:
        _settle(calls, done, emit)
        raise failures.exceptions[0] from None
    except BaseException:
        _settle(calls, done, emit)
        raise
    return all(isinstance(item, str) for item in prepared)


def prepare(call: ToolCall, specs: dict[str, ToolSpec]) -> Prepared | str:
    """The call as it will run, or the sentence that tells the model what is wrong with it."""
    if call.malformed is not None:
        return (
            f"The arguments of {call.name or 'this call'} were not one valid JSON object and nothing was run. "
            f"Send the call again. What arrived: {call.malformed[:400]}"
        )
    spec = specs.get(call.name)
    if spec is None:
        near = get_close_matches(call.name, specs, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(sorted(specs))}."
        return f"There is no tool named {call.name!r}. {hint}"
    mended = repair(call.arguments, spec.input_schema)
    if isinstance(mended, str):
        return f"{call.name}: {mended}"
    arguments, notes = mended
    return Prepared(call=msgspec.structs.replace(call, arguments=arguments), spec=spec, notes=tuple(notes))


def failure(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call_id=call.id, content=(Text(text),), is_error=True)


def _groups(items: "list[tuple[ToolCall, Prepared | str]]") -> "list[list[tuple[ToolCall, Prepared | str]]]":
    groups: list[list[tuple[ToolCall, Prepared | str]]] = []
    reading = False
    for call, item in items:
        reads = not isinstance(item, Prepared) or item.spec.read_only
        if reads and reading:
            groups[-1].append((call, item))
        else:
            groups.append([(call, item)])
        reading = reads
    return groups


def _settle(calls: Sequence[ToolCall], done: set[str], emit: Emit) -> None:
    for call in calls:
        if call.id not in done:
            emit(ToolFinished(result=failure(call, INTERRUPTED)))


def _with_notes(result: ToolResult, notes: tuple[str, ...]) -> ToolResult:
    if not notes:
        return result
    return msgspec.structs.replace(result, content=(*result.content, Text("Note: " + " ".join(notes))))
