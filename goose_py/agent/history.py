"""From the entries of a conversation to the messages that a model is sent: a pure view, compactions applied.

An entry is never changed or removed; what a compaction hides is still there, and comes back when it is undone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from goose_py.protocol.events import ContextCompacted
from goose_py.protocol.messages import Image, Message, Text, ToolMessage, ToolResult, UserMessage

PROMPT = "prompt"
KEPT_SOURCES = frozenset({"environment", "conventions", "instructions"})
"""Harness texts that stand verbatim in every view, whatever else is compacted."""

CLEARED = "[This result was cleared to make room. Call again if it is still needed.]"


class Entry(NamedTuple):
    """One message as it came, with the number of the record that it came with; the answers to a batch of calls carry the
    number of the reply that asked for them, so that no boundary falls between the two. `source` is `PROMPT` for what the
    user said, the harness's mechanism for what the harness said, and "" for everything else."""

    seq: int
    message: Message
    source: str = ""


def from_harness(source: str, text: str) -> str:
    """How the model is told that a text comes from the program and not from the person."""
    return f"<harness source={source!r}>\n{text}\n</harness>"


def view(entries: Sequence[Entry], compactions: Sequence[ContextCompacted]) -> list[Message]:
    """`compactions` are those in force, oldest first: the last summary or window hides what stands before it, and results
    are cleared as each `clear_results` says."""
    clearing = [event for event in compactions if event.method == "clear_results"]
    summary = next((event for event in reversed(compactions) if event.method in ("summary", "window")), None)
    messages: list[Message] = []
    for entry in _with_summary(entries, summary) if summary is not None else entries:
        _join(messages, _cleared(entry, clearing))
    return messages


def _with_summary(entries: Sequence[Entry], summary: ContextCompacted) -> list[Entry]:
    """What is kept of old, the summary, the last prompt among the old, and all that came after. None of it depends on what
    comes later, so that a compacted history, too, only grows at its end."""
    cut = next((n for n, entry in enumerate(entries) if entry.seq >= summary.keep_from), len(entries))
    old, new = entries[:cut], entries[cut:]
    text = Text(from_harness("summary of the conversation so far", summary.summary))
    return [
        *(entry for entry in old if entry.source in KEPT_SOURCES),
        Entry(summary.keep_from, UserMessage((text,)), "summary"),
        *[entry for entry in old if entry.source == PROMPT][-1:],
        *new,
    ]


def _join(messages: list[Message], message: Message) -> None:
    if messages and isinstance(message, UserMessage) and isinstance(messages[-1], UserMessage):
        messages[-1] = UserMessage(messages[-1].parts + message.parts)
    else:
        messages.append(message)


def _cleared(entry: Entry, clearing: Sequence[ContextCompacted]) -> Message:
    message = entry.message
    if not clearing or not isinstance(message, ToolMessage):
        return message
    results = []
    for result in message.results:
        limits = [event.result_limit for event in clearing if entry.seq < event.keep_from or result.call_id in event.results]
        results.append(shortened(result, min(limits)) if limits else result)
    return ToolMessage(tuple(results))


def shortened(result: ToolResult, limit: int) -> ToolResult:
    """The result cut to `limit` characters of its head and tail, pictures left out; 0 leaves a note alone."""
    text = result.text()
    pictures = any(isinstance(part, Image) for part in result.content)
    if len(text) <= max(limit, len(CLEARED)) and not pictures:
        return result
    if limit == 0:
        shown = CLEARED
    elif len(text) <= limit:
        shown = f"{text}\n[A picture was left out to make room.]"
    else:
        head, tail = text[: limit * 2 // 3], text[len(text) - limit // 3 :]
        shown = f"{head}\n[{len(text) - len(head) - len(tail)} characters were cut here to make room]\n{tail}"
    return msgspec.structs.replace(result, content=(Text(shown),))
