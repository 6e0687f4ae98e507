"""What the model sees: a fold of the log, and its projection onto the model that answers.

The fold is total: every prefix of every log, also of one with damaged records, yields a history that providers accept. A
call without a result is closed as interrupted; text that arrives while calls are open waits until they are answered, so that
results always follow their calls.
"""

from collections.abc import Iterable, Sequence

import msgspec

from goose_py.agent.history import PROMPT, Entry, from_harness, view
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
LOST_BEGINNING = "The beginning of this conversation could not be read any more."


class Conversation:
    """An incremental fold: `feed` records in order, `messages` at any time.

    Between two compactions the parts of `messages()` only grow at their end (while no call is open), which keeps the
    provider's prompt cache warm."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._compactions: list[tuple[int, ev.ContextCompacted]] = []
        self._forgotten: dict[int, tuple[list[Entry], list[tuple[int, ev.ContextCompacted]]]] = {}
        self._undelivered: dict[str, tuple[Text | Image, ...]] = {}
        self._asked = 0  # the record that the open calls came with
        self._calls: tuple[ToolCall, ...] = ()
        self._results: dict[str, ToolResult] = {}
        self._started: set[str] = set()
        self._waiting: list[Entry] = []

    def feed(self, record: ev.Record) -> None:
        event = record.event
        match event:
            case ev.PromptReceived(delivery="now"):
                self._settle()
                self._say(record.seq, event.parts, PROMPT)
            case ev.PromptReceived():
                self._undelivered[event.prompt_id] = event.parts
            case ev.PromptDelivered():
                self._settle()
                self._say(record.seq, self._undelivered.pop(event.prompt_id, ()), PROMPT)
            case ev.PromptWithdrawn():
                self._undelivered.pop(event.prompt_id, None)
            case ev.ContextAdded():
                self._say(record.seq, (Text(from_harness(event.source, event.text)),), event.source)
            case ev.ModelReplied():
                self._settle()
                self._entries.append(Entry(record.seq, event.message))
                self._asked, self._calls = record.seq, event.message.tool_calls()
            case ev.ToolStarted():
                self._started.add(event.call.id)
            case ev.ToolFinished():
                self._answer(event.result)
            case ev.TurnEnded():
                self._settle()
            case ev.ContextCompacted():
                self._compactions.append((record.seq, event))
            case ev.Rewound(undoes=int(seq)):
                self._settle()
                self._entries, self._compactions = self._forgotten.pop(seq, (self._entries, self._compactions))
            case ev.Rewound(scope="conversation" | "both", to_seq=int(seq)):
                self._settle()
                self._forgotten[record.seq] = (self._entries, self._compactions)
                self._forget_after(seq)
            case _:
                pass

    def messages(self) -> tuple[Message, ...]:
        """The history as it would be sent now, open calls answered."""
        return tuple(view(self.entries(), self.compactions()))

    def entries(self) -> Sequence[Entry]:
        """Everything that was ever said, before compaction, open calls answered."""
        if not self._calls:
            return self._entries
        return [*self._entries, Entry(self._asked, self._answers()), *self._waiting]

    def said(self) -> int:
        """How many entries there are without the answers to open calls."""
        return len(self._entries)

    def compactions(self) -> tuple[ev.ContextCompacted, ...]:
        """Those in force, oldest first."""
        in_force: list[ev.ContextCompacted] = []
        for _, event in self._compactions:
            if event.method == "undo":
                del in_force[-1:]
            else:
                in_force.append(event)
        return tuple(in_force)

    def unanswered(self) -> tuple[ToolResult, ...]:
        """What a crash or an interrupt left open, as the results that close it, in the order of the calls."""
        return tuple(self._unanswered(call) for call in self._calls if call.id not in self._results)

    def _forget_after(self, seq: int) -> None:
        self._entries = [entry for entry in self._entries if entry.seq <= seq]
        self._compactions = [(at, event) for at, event in self._compactions if at <= seq]

    def _say(self, seq: int, parts: tuple[Text | Image, ...], source: str) -> None:
        if parts:
            (self._waiting if self._calls else self._entries).append(Entry(seq, UserMessage(parts), source))

    def _answer(self, result: ToolResult) -> None:
        if any(call.id == result.call_id for call in self._calls):
            self._results[result.call_id] = result
            if all(call.id in self._results for call in self._calls):
                self._settle()

    def _settle(self) -> None:
        if self._calls:
            self._entries += [Entry(self._asked, self._answers()), *self._waiting]
        self._calls, self._results, self._waiting = (), {}, []
        self._started.clear()

    def _answers(self) -> ToolMessage:
        return ToolMessage(tuple(self._results.get(call.id) or self._unanswered(call) for call in self._calls))

    def _unanswered(self, call: ToolCall) -> ToolResult:
        return unanswered(call, started=call.id in self._started)


def unanswered(call: ToolCall, *, started: bool) -> ToolResult:
    """The result of a call that was interrupted."""
    return ToolResult(call_id=call.id, content=(Text(UNKNOWN_OUTCOME if started else NEVER_STARTED),), is_error=True)


def fold(records: Iterable[ev.Record]) -> Conversation:
    conversation = Conversation()
    for record in records:
        conversation.feed(record)
    return conversation


def project(messages: Sequence[Message], model: ModelRef, *, images: bool = True) -> tuple[Message, ...]:
    """The history as `model` can accept it.

    Thinking that another provider or model signed is dropped, images are named instead of shown where the model cannot see
    them, text without a visible character is left out, and so are messages that end up empty. The first message is a user's,
    neighbours of one role are merged, and each assistant message with calls is followed by their results."""
    projected: list[Message] = []
    for message in messages:
        changed = _project_message(message, model, images)
        if changed is None:
            continue
        if not projected and not isinstance(changed, UserMessage):
            projected.append(UserMessage((Text(from_harness("log", LOST_BEGINNING)),)))
        previous = projected[-1] if projected else None
        match previous, changed:
            case UserMessage(), UserMessage():
                projected[-1] = UserMessage(previous.parts + changed.parts)
            case AssistantMessage(), AssistantMessage():
                projected[-1] = msgspec.structs.replace(changed, parts=previous.parts + changed.parts)
            case _:
                projected.append(changed)
    return tuple(projected)


def _project_message(message: Message, model: ModelRef, images: bool) -> Message | None:
    match message:
        case AssistantMessage():
            own = message.origin.provider == model.provider and message.origin.model == model.model
            parts = tuple(part for part in message.parts if _has_content(part) and (own or not isinstance(part, Thinking)))
            if all(isinstance(part, Thinking) for part in parts):
                return None
            return msgspec.structs.replace(message, parts=parts)
        case UserMessage():
            shown = tuple(_seen(part, images) for part in message.parts if _has_content(part))
            return UserMessage(shown) if shown else None
        case ToolMessage() if not images:
            return ToolMessage(tuple(_without_images(result) for result in message.results))
        case _:
            return message


def _has_content(part: object) -> bool:
    return not isinstance(part, Text) or bool(part.text.strip())


def _without_images(result: ToolResult) -> ToolResult:
    return msgspec.structs.replace(result, content=tuple(_seen(part, False) for part in result.content))


def _seen(part: Text | Image, images: bool) -> Text | Image:
    if images or isinstance(part, Text):
        return part
    return Text(f"[an image ({part.media_type}), which this model cannot see]")
