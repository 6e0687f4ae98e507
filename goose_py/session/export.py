"""A session as a document: Markdown and HTML for people, JSON for programs. Pure folds of its records.

`redact` is applied to every text before it is written; `goose_py.protocol.redact.redactor(secrets)` is one.
"""

import html
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from goose_py.agent.limits import Spending, spend
from goose_py.agent.progress_note import describe
from goose_py.protocol import events as ev
from goose_py.protocol.amounts import counted
from goose_py.protocol.call_summary import full_call, summarize_call
from goose_py.protocol.codec import encode
from goose_py.protocol.messages import Image, Text, ToolCall, ToolResult

EXPORT_FORMAT = "goose-py session export"
EXPORT_VERSION = 1

Redact = Callable[[str], str]


def unchanged(text: str) -> str:
    return text


class Block(NamedTuple):
    """One thing that happened, as a reader sees it. `kind` is one of prompt, answer, thinking, call, note, plan, check, error;
    `heading` is one line, `body` text as it stands, `code` whether it is to be shown as such."""

    kind: str
    heading: str
    body: str = ""
    code: bool = False


def to_json(records: Sequence[ev.Record], redact: Redact = unchanged) -> bytes:
    """One JSON document, UTF-8, with a line feed at the end.

    `{"format": "goose-py session export", "version": 1, "session": {...}, "usage": {...}, "records": [...]}`: `session` has
    `session_id`, `title`, `model`, `started_at` and `ended_at` (Unix time) and `program`; `usage` has `requests`, `seconds`,
    `cost` (US dollars, a lower bound where `unpriced`), and the tokens; `records` are the log's own, in order, each
    `{"seq", "at", "event"}`. The version grows when a field changes its meaning."""
    started = _started(records)
    spending = _spending(records)
    document = {
        "format": EXPORT_FORMAT,
        "version": EXPORT_VERSION,
        "session": {
            "session_id": started.session_id if started else "",
            "title": title_of(records),
            "model": msgspec.to_builtins(started.model) if started else None,
            "started_at": records[0].at if records else None,
            "ended_at": records[-1].at if records else None,
            "program": started.program if started else "",
        },
        "usage": {
            "requests": spending.turns,
            "seconds": round(spending.seconds, 3),
            "cost": round(spending.cost, 6),
            "unpriced": spending.unpriced,
            **msgspec.to_builtins(spending.usage),
        },
        "records": [msgspec.to_builtins(record) for record in records],
    }
    return encode(_redacted(document, redact)) + b"\n"


def to_markdown(records: Sequence[ev.Record], redact: Redact = unchanged) -> str:
    """CommonMark. Nothing that a session contains can end the block that it is quoted in."""
    lines = [f"# {_inline(redact(title_of(records) or 'Session'))}", "", *_facts(records, redact), ""]
    for block in blocks(records):
        body = redact(block.body).strip("\n")
        lines.append(f"## {_inline(redact(block.heading))}")
        lines.append("")
        if block.code:
            fence = _fence(body)
            lines += [fence, body, fence, ""]
        elif body:
            lines += [body if block.kind == "answer" else _quoted(body), ""]
    return "\n".join(lines).rstrip() + "\n"


def to_html(records: Sequence[ev.Record], redact: Redact = unchanged) -> str:
    """One page without scripts, links or anything to load."""
    heading = html.escape(redact(title_of(records) or "Session"))
    parts = [f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{heading}</title>\n<style>{_STYLE}</style>"]
    parts.append(f"<h1>{heading}</h1>")
    parts.append(f"<p>{'<br>'.join(html.escape(fact.removeprefix('- ')) for fact in _facts(records, redact))}</p>")
    for block in blocks(records):
        head, body = html.escape(redact(block.heading)), html.escape(redact(block.body).strip("\n"))
        inner = f"<pre>{body}</pre>" if body else ""
        if block.kind in ("call", "thinking", "note") and inner:
            parts.append(f"<details class={block.kind}><summary>{head}</summary>{inner}</details>")
        else:
            parts.append(f"<section class={block.kind}><h2>{head}</h2>{inner}</section>")
    return "\n".join(parts) + "\n</html>\n"


def blocks(records: Iterable[ev.Record]) -> Iterator[Block]:
    """What a reader wants to see of a session, in order. A call stands where it was asked for, with its result."""
    records = tuple(records)
    results = {
        record.event.result.call_id: record.event.result for record in records if isinstance(record.event, ev.ToolFinished)
    }
    for record in records:
        yield from _blocks_of(record.event, results)


def title_of(records: Iterable[ev.Record]) -> str:
    """The title that was given last, else the beginning of the first prompt."""
    title = first = ""
    for record in records:
        match record.event:
            case ev.SessionStarted(title=given) | ev.TitleSet(title=given):
                title = given or title
            case ev.PromptReceived(parts=parts) if not first:
                first = " ".join(_text(parts).split())[:80]
            case _:
                pass
    return title or first


def _blocks_of(event: ev.DurableEvent, results: dict[str, ToolResult]) -> Iterator[Block]:
    match event:
        case ev.PromptReceived():
            yield Block("prompt", "User", _text(event.parts))
        case ev.PromptWithdrawn():
            yield Block("note", "A message was taken back")
        case ev.ModelReplied():
            yield from _reply(event, results)
        case ev.PlanProposed():
            yield Block("plan", "Plan", "\n".join(part for part in (event.plan.note, describe(event.plan)) if part))
        case ev.PlanDecided():
            said = f": {event.comment}" if event.comment else ""
            by = f"Plan {'approved' if event.approved else 'not approved'} by {event.by}"
            yield Block("note", "The plan needed no approval" if event.approved and event.by == "policy" else f"{by}{said}")
        case ev.ApprovalRequested():
            yield Block("note", f"Approval asked for {_named(event.call)}", event.reason)
        case ev.ApprovalResolved():
            yield Block("note", f"{'Allowed' if event.allowed else 'Denied'} by {event.by} ({event.scope})", event.note)
        case ev.VerificationFinished():
            status = "did not end" if event.exit_code is None else f"exit code {event.exit_code}"
            yield Block("check", f"Check: {event.command} — {status}", event.output, code=True)
        case ev.ChangesRecorded():
            yield Block("note", f"Changes: {counted(event.files, 'file')}, +{event.added} −{event.removed}")
        case ev.ContextAdded():
            yield Block("note", f"Told to the model ({event.source})", event.text, code=True)
        case ev.ContextCompacted():
            yield Block("note", f"Context compacted ({event.method})", event.summary)
        case ev.ModelSet():
            yield Block("note", f"Model: {event.model}")
        case ev.ModeSet():
            yield Block("note", f"Mode: {event.mode}")
        case ev.ModelRetried():
            yield Block("note", f"Request failed, sent again after {event.delay:g} s", event.reason)
        case ev.ChangesApplied(how=ev.UNDONE):
            yield Block("note", f"Taken back from {event.target}", "\n".join(event.files))
        case ev.ChangesApplied():
            yield Block("note", f"Applied to {event.target} ({event.how})", "\n".join(event.files))
        case ev.Rewound():
            yield Block("note", f"Rewound ({event.scope})")
        case ev.FinalOutput():
            yield Block(
                "answer", "Final output", f"```json\n{msgspec.json.format(encode(event.value), indent=2).decode()}\n```"
            )
        case ev.Warned():
            yield Block("error", f"Warning: {event.text}")
        case ev.TurnEnded() if event.outcome != "done":
            yield Block("error", f"Turn ended: {event.outcome.replace('_', ' ')}", event.detail)
        case ev.TaskEnded():
            yield Block("note", f"Task {event.state}", event.detail)
        case _:
            pass


def _reply(event: ev.ModelReplied, results: dict[str, ToolResult]) -> Iterator[Block]:
    for part in event.message.parts:
        match part:
            case Text() if part.text.strip():
                yield Block("answer", f"Assistant · {event.message.origin}", part.text)
            case ToolCall():
                yield Block("call", _named(part), _called(part, results.get(part.id)), code=True)
            case Text():
                pass
            case _ if part.text:
                yield Block("thinking", "Thinking", part.text)


def _called(call: ToolCall, result: ToolResult | None) -> str:
    if result is None:
        return f"{full_call(call)}\n\n(no result)"
    shown = "\n".join(_shown(part) for part in result.content)
    return f"{full_call(call)}\n\n{'Error: ' if result.is_error else ''}{shown}"


def _named(call: ToolCall) -> str:
    summary = summarize_call(call)
    return f"{summary.verb} {summary.subject[:120]}".rstrip()


def _shown(part: Text | Image) -> str:
    return part.text if isinstance(part, Text) else f"[picture, {part.media_type}]"


def _text(parts: Iterable[Text | Image]) -> str:
    return "\n\n".join(_shown(part) for part in parts)


def _facts(records: Sequence[ev.Record], redact: Redact) -> list[str]:
    started, spending = _started(records), _spending(records)
    facts = []
    if started is not None:
        facts += [f"- Session: {started.session_id}", f"- Model: {started.model}", f"- Workspace: {started.workspace}"]
    if records:
        facts.append(f"- From {_time(records[0].at)} to {_time(records[-1].at)}")
    usage = spending.usage
    facts.append(
        f"- {spending.turns} requests, {usage.input_tokens} tokens in, {usage.cache_read_tokens} cached, "
        f"{usage.output_tokens} out" + (f", ${spending.cost:.4f}" if spending.cost else "")
    )
    return [redact(fact) for fact in facts]


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _started(records: Sequence[ev.Record]) -> ev.SessionStarted | None:
    """The last one: what stands before it in a fork is its parent's."""
    return next((record.event for record in reversed(records) if isinstance(record.event, ev.SessionStarted)), None)


def _spending(records: Iterable[ev.Record]) -> Spending:
    total = Spending()
    for record in records:
        total = spend(total, record)
    return total


def _redacted(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key): _redacted(item, redact) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item, redact) for item in value]
    return value


def _inline(text: str) -> str:
    """On one line, with nothing that Markdown would act upon."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~])", r"\\\1", " ".join(text.split()))


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _fence(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h2{font-size:1rem;margin:1.5rem 0 .3rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;padding:.6rem;"
    "background:#f4f4f4}.prompt pre{background:#e7f0fb}.error h2{color:#a00000}summary{cursor:pointer;color:#444}"
    "@media(prefers-color-scheme:dark){body{background:#161616;color:#e4e4e4}pre{background:#222}"
    ".prompt pre{background:#1c2a3a}summary{color:#aaa}.error h2{color:#ff8080}}"
)
