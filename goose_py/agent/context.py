"""What the model sees: a fold of the log.

The fold is total: every prefix of every log yields a history that providers accept. A call without a result is closed as
"interrupted, outcome unknown"; text that arrives while calls are open waits until they are answered, so that results always
follow their calls.
"""

from collections.abc import Iterable

from goose_py.protocol import events as ev
from goose_py.protocol.messages import (
    AssistantMessage,
    Image,
    Message,
    ModelRef,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)

UNKNOWN_OUTCOME = "Interrupted: this call had started and its outcome is unknown. Look before you repeat it."
NEVER_STARTED = "Interrupted before this call was started: it did not run."


class Conversation:
    """An incremental fold: `feed` records in order, `messages` at any time.

    `messages()` only ever grows at its end (but for compaction), which keeps the provider's prompt cache warm."""

    def __init__(self) -> None:
        self._closed: list[Message] = []
        self._user_parts: list[Text | Image] = []
        self._waiting: list[Text | Image] = []
        self._calls: tuple[ToolCall, ...] = ()
        self._results: dict[str, ToolResult] = {}
        self._started: set[str] = set()
        self._undelivered: dict[str, tuple[Text | Image, ...]] = {}
        self._marks: list[tuple[int, int]] = []  # (seq, number of closed messages before it)
        self._before_compaction: list[list[Message]] = []

    def feed(self, record: ev.Record) -> None:
        event = record.event
        match event:
            case ev.PromptReceived():
                if event.delivery == "now":
                    self._say(event.parts, closes=True)
                else:
                    self._undelivered[event.prompt_id] = event.parts
            case ev.PromptDelivered():
                self._say(self._undelivered.pop(event.prompt_id, ()), closes=True)
            case ev.PromptWithdrawn():
                self._undelivered.pop(event.prompt_id, None)
            case ev.ContextAdded():
                self._say((Text(from_harness(event.source, event.text)),), closes=False)
            case ev.ModelReplied():
                self._settle()
                self._flush_user()
                self._mark(record.seq)
                self._closed.append(event.message)
                self._calls = event.message.tool_calls()
            case ev.ToolStarted():
                self._started.add(event.call.id)
            case ev.ToolFinished():
                if any(call.id == event.result.call_id for call in self._calls):
                    self._results[event.result.call_id] = event.result
                    if len(self._results) == len(self._calls):
                        self._settle()
            case ev.TurnEnded():
                self._settle()
            case ev.ContextCompacted():
                self._compact(event)
            case _:
                pass

    def messages(self) -> tuple[Message, ...]:
        """The history as it would be sent now, open calls answered."""
        tail: list[Message] = []
        if self._calls:
            tail.append(self._answers())
        parts = (*self._user_parts, *self._waiting)
        if parts:
            tail.append(UserMessage(parts))
        return (*self._closed, *tail)

    def undelivered(self) -> tuple[str, ...]:
        """Ids of the prompts that wait for their delivery, oldest first."""
        return tuple(self._undelivered)

    def open_calls(self) -> tuple[ToolCall, ...]:
        """Calls that have no result, in order: what a crash or an interrupt left behind."""
        return tuple(call for call in self._calls if call.id not in self._results)

    def _say(self, parts: tuple[Text | Image, ...], *, closes: bool) -> None:
        if closes:
            self._settle()
        (self._waiting if self._calls else self._user_parts).extend(parts)

    def _settle(self) -> None:
        if not self._calls:
            return
        self._closed.append(self._answers())
        self._calls, self._results = (), {}
        self._started.clear()
        self._user_parts.extend(self._waiting)
        self._waiting.clear()

    def _flush_user(self) -> None:
        if self._user_parts:
            self._closed.append(UserMessage(tuple(self._user_parts)))
            self._user_parts.clear()

    def _answers(self) -> ToolMessage:
        return ToolMessage(tuple(self._results.get(call.id) or self._unanswered(call) for call in self._calls))

    def _unanswered(self, call: ToolCall) -> ToolResult:
        text = UNKNOWN_OUTCOME if call.id in self._started else NEVER_STARTED
        return ToolResult(call_id=call.id, content=(Text(text),), is_error=True)

    def _mark(self, seq: int) -> None:
        self._marks.append((seq, len(self._closed)))

    def _compact(self, event: ev.ContextCompacted) -> None:
        self._settle()
        if event.method == "undo":
            if self._before_compaction:
                since = self._closed[1:] if self._closed else []
                restored = self._before_compaction.pop()
                self._closed = restored + [message for message in since if message not in restored]
            return
        kept = next((at for seq, at in self._marks if seq >= event.keep_from), len(self._closed))
        self._before_compaction.append(list(self._closed))
        summary = UserMessage((Text(from_harness("summary of the conversation so far", event.summary)),))
        self._closed = [summary, *_whole(self._closed[kept:])]
        self._marks = []


def _whole(messages: list[Message]) -> list[Message]:
    """Without results whose calls were cut away."""
    while messages and isinstance(messages[0], ToolMessage):
        messages = messages[1:]
    return messages


def fold(records: Iterable[ev.Record]) -> Conversation:
    conversation = Conversation()
    for record in records:
        conversation.feed(record)
    return conversation


def from_harness(source: str, text: str) -> str:
    """How the model is told that a text comes from the program and not from the person."""
    return f"<harness source={source!r}>\n{text}\n</harness>"


def project(messages: tuple[Message, ...], model: ModelRef, *, images: bool = True) -> tuple[Message, ...]:
    """The history as `model` can accept it: thinking that another provider or model signed is dropped, images are named
    instead of shown where the model cannot see them, and assistant messages that end up empty are left out (their user
    neighbours are then merged, so that roles still alternate)."""
    projected: list[Message] = []
    for message in messages:
        changed = _project_message(message, model, images)
        previous = projected[-1] if projected else None
        if changed is None:
            continue
        if isinstance(changed, UserMessage) and isinstance(previous, UserMessage):
            projected[-1] = UserMessage(previous.parts + changed.parts)
        else:
            projected.append(changed)
    return tuple(projected)


def _project_message(message: Message, model: ModelRef, images: bool) -> Message | None:
    match message:
        case AssistantMessage():
            own = message.origin.provider == model.provider and message.origin.model == model.model
            parts = message.parts if own else tuple(part for part in message.parts if not isinstance(part, Thinking))
            sendable = [part for part in parts if not (isinstance(part, Text) and not part.text)]
            if not any(not isinstance(part, Thinking) for part in sendable):
                return None
            return message if len(sendable) == len(message.parts) else _with_parts(message, tuple(sendable))
        case UserMessage() if not images:
            return UserMessage(tuple(_named(part) for part in message.parts))
        case ToolMessage() if not images:
            return ToolMessage(
                tuple(
                    ToolResult(
                        call_id=result.call_id,
                        content=tuple(_named(part) for part in result.content),
                        is_error=result.is_error,
                    )
                    for result in message.results
                )
            )
        case _:
            return message


def _with_parts(message: AssistantMessage, parts: tuple[Text | Thinking | ToolCall, ...]) -> AssistantMessage:
    return AssistantMessage(parts=parts, origin=message.origin, stop_reason=message.stop_reason)


def _named(part: Text | Image) -> Text:
    return part if isinstance(part, Text) else Text(f"[an image ({part.media_type}), which this model cannot see]")
