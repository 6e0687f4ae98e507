"""What an import yields, and the care that every mapping needs: turns, pairs of calls and results, a report."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import (
    AssistantMessage,
    Image,
    ModelRef,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
NO_RESULT = "The session that this was imported from holds no result of this call."


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """`events` with the Unix time of each (of the one before where the source says none). `program` and `session_id` name the
    source, `folder` is where it worked ("" where it does not say). `report` says in sentences what was not carried over."""

    program: str
    session_id: str
    title: str
    folder: str
    events: tuple[tuple[float, ev.DurableEvent], ...]
    report: tuple[str, ...]

    @property
    def prompts(self) -> int:
        return sum(isinstance(event, ev.PromptReceived) for _, event in self.events)


class Transcript:
    """Collects a conversation in order. Turns begin with what the user said; a call without a result is answered, a result
    without a call is left out, ids that come twice are told apart: so every import is a history that providers accept."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._events: list[tuple[float, ev.DurableEvent]] = []
        self._at = 0.0
        self._turn = 0
        self._open = False
        self._parts: list[Text | Thinking | ToolCall] = []
        self._origin = ModelRef(provider="", model="")
        self._waiting: dict[str, ToolCall] = {}
        self._ids: dict[str, str] = {}
        self._known: set[str] = set()
        self._left_out: Counter[str] = Counter()
        self.session_id = ""
        self.title = ""
        self.folder = ""

    def at(self, time: Any) -> None:
        """`time`: ISO 8601, or Unix seconds. What cannot be read leaves the clock as it is."""
        try:
            moment = float(time) if isinstance(time, (int, float)) else datetime.fromisoformat(str(time)).timestamp()
        except (ValueError, RecursionError):
            return
        self._at = max(self._at, moment)

    def leave_out(self, what: str) -> None:
        self._left_out[what] += 1

    def prompt(self, parts: Iterable[Text | Image]) -> None:
        said = tuple(part for part in parts if not isinstance(part, Text) or part.text.strip())
        if not said:
            return
        self._end_turn()
        self._turn += 1
        self._open = True
        self._emit(ev.PromptReceived(prompt_id=f"import-{self._turn}", parts=said))
        self._emit(ev.TurnStarted(turn=self._turn))

    def note(self, source: str, text: str) -> None:
        """Something that the other program put before its model."""
        self._settle()
        self._emit(ev.ContextAdded(source=source, text=text))

    def say(self, part: Text | Thinking, model: str = "") -> None:
        self._answering(model)
        if isinstance(part, Thinking) or part.text.strip():
            self._parts.append(part)

    def call(self, call_id: str, name: str, arguments: Any, model: str = "") -> None:
        """`arguments`: a mapping, or the JSON text of one."""
        self._answering(model)
        malformed = None
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments) if arguments.strip() else {}
            except (ValueError, RecursionError):
                arguments, malformed = {}, arguments
        if not isinstance(arguments, dict):
            arguments, malformed = {}, malformed or json.dumps(arguments)
        own = self._new_id(call_id)
        # The alphabet that every provider takes for the name of a tool.
        name = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "unknown"
        call = ToolCall(id=own, name=name, arguments=arguments, malformed=malformed)
        self._parts.append(call)
        self._waiting[own] = call

    def result(self, call_id: str, content: Iterable[Text | Image], *, is_error: bool = False) -> None:
        self._flush()
        own = self._ids.get(call_id, "")
        call = self._waiting.pop(own, None)
        if call is None:
            self.leave_out("results without a call")
            return
        self._emit(ev.ToolStarted(call=call))
        self._emit(ev.ToolFinished(result=ToolResult(call_id=own, content=tuple(content), is_error=is_error)))

    def interrupted(self) -> None:
        self._end_turn("interrupted")

    def finish(self) -> Imported:
        """Raises UserError where nothing was said."""
        self._end_turn()
        if not any(isinstance(event, (ev.PromptReceived, ev.ModelReplied)) for _, event in self._events):
            raise UserError(f"There is no conversation in this {self._program} session.")
        return Imported(
            program=self._program,
            session_id=self.session_id,
            title=self.title,
            folder=self.folder,
            events=tuple(self._events),
            report=tuple(f"{count} × {what}" for what, count in sorted(self._left_out.items())),
        )

    def _answering(self, model: str) -> None:
        """The model's parts belong to one reply until a result, a prompt or another model comes."""
        if not self._open:
            self._turn += 1
            self._open = True
            self._emit(ev.TurnStarted(turn=self._turn))
        if not self._parts and self._waiting:
            self._settle()
        origin = ModelRef(provider=self._program, model=model or self._origin.model or "unknown")
        if self._parts and origin != self._origin:
            self._settle()
        self._origin = origin

    def _flush(self) -> None:
        if not self._parts:
            return
        stop = "tool_calls" if any(isinstance(part, ToolCall) for part in self._parts) else "end"
        message = AssistantMessage(parts=tuple(self._parts), origin=self._origin, stop_reason=stop)
        self._parts = []
        if all(isinstance(part, Thinking) for part in message.parts):
            self.leave_out("thoughts without an answer")
            return
        self._emit(ev.ModelReplied(message=message))

    def _settle(self) -> None:
        """The reply so far is whole, and every call of it is answered."""
        self._flush()
        for call_id in self._waiting:
            self.leave_out("calls without a result")
            missing = ToolResult(call_id=call_id, content=(Text(NO_RESULT),), is_error=True)
            self._emit(ev.ToolFinished(result=missing))
        self._waiting.clear()

    def _end_turn(self, outcome: ev.Outcome = "done") -> None:
        self._settle()
        if self._open:
            self._emit(ev.TurnEnded(outcome=outcome))
        self._open = False

    def _new_id(self, call_id: str) -> str:
        own, number = call_id or f"import_{len(self._known) + 1}", 1
        while own in self._known:
            number += 1
            own = f"{call_id or 'import'}_{number}"
        self._known.add(own)
        self._ids[call_id] = own
        return own

    def _emit(self, event: ev.DurableEvent) -> None:
        self._events.append((self._at, event))


def image(media_type: Any, data: Any) -> Image | None:
    """None for a picture that is none, or of a kind that no provider takes."""
    if media_type in IMAGES and isinstance(data, str) and data:
        return Image(media_type=media_type, data="".join(data.split()))
    return None


def json_lines(raw: bytes, transcript: Transcript) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file. What is no object is counted; the last line may be torn."""
    for line in raw.split(b"\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            transcript.leave_out("lines that are no JSON")
            continue
        if isinstance(value, dict):
            yield value
        else:
            transcript.leave_out("lines that are no JSON object")


def as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
