"""Claude Code's transcripts: `~/.claude/projects/PROJECT/SESSION.jsonl`.

One object a line; those of type "user" and "assistant" carry a `message` of Anthropic's Messages protocol. A reply is written
in several lines that share `message.id`, one content block each. `parentUuid` makes a tree of which the newest leaf counts
(editing an earlier message leaves the old branch behind). Source: the files of versions 1.0 to 2.1."""

from collections.abc import Iterator, Sequence
from typing import Any

from goose_py.protocol.messages import Image, Text, Thinking
from goose_py.session.importing.transcript import Imported, Transcript, as_list, image, json_lines

PROGRAM = "claude-code"
_INTERRUPTED = "[Request interrupted by user"
_MEMORY = "This session is being continued from a previous conversation"


def looks_like(lines: Sequence[dict[str, Any]]) -> bool:
    return any(line.get("type") in ("user", "assistant") and "message" in line and "sessionId" in line for line in lines)


def convert(raw: bytes) -> Imported:
    """Raises UserError where nothing was said in it."""
    transcript = Transcript(PROGRAM)
    for line in _branch(list(json_lines(raw, transcript)), transcript):
        transcript.at(line.get("timestamp"))
        transcript.session_id = transcript.session_id or str(line.get("sessionId") or "")
        transcript.folder = transcript.folder or str(line.get("cwd") or "")
        _message(line, transcript)
    return transcript.finish()


def _branch(lines: list[dict[str, Any]], transcript: Transcript) -> Iterator[dict[str, Any]]:
    """The messages from the first to the newest, without abandoned branches and without those of subagents."""
    messages: list[dict[str, Any]] = []
    for line in lines:
        kind = line.get("type")
        if kind == "summary" or kind in ("custom-title", "ai-title"):
            transcript.title = str(line.get("customTitle") or line.get("aiTitle") or line.get("summary") or transcript.title)
        elif kind not in ("user", "assistant"):
            transcript.leave_out(f"entries of type {kind!r}" if kind != "system" else "notes of the program")
        elif line.get("isSidechain"):
            transcript.leave_out("messages of subagents")
        else:
            messages.append(line)
    known = {line["uuid"]: line for line in messages if isinstance(line.get("uuid"), str)}
    parents = {line["uuid"]: line.get("parentUuid") for line in lines if isinstance(line.get("uuid"), str)}
    if not messages or len(known) < len(messages):
        yield from messages
        return
    wanted: set[str] = set()
    at: Any = messages[-1]["uuid"]
    while isinstance(at, str) and at in parents and at not in wanted:
        wanted.add(at)
        at = parents[at]
    # Parallel results hang on one parent each: what answers a call of the branch belongs to it.
    replies = {_reply(known[uuid]) for uuid in wanted if uuid in known} - {""}
    calls = {call for line in messages if line["uuid"] in wanted or _reply(line) in replies for call in _calls(line)}
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in messages:
        if line["uuid"] in wanted or _reply(line) in replies or calls & set(_answers(line)):
            # Results may be written between the lines of one reply: the reply comes whole.
            groups.setdefault(_reply(line) or line["uuid"], []).append(line)
        else:
            transcript.leave_out("messages of abandoned branches")
    for group in groups.values():
        yield from group


def _reply(line: dict[str, Any]) -> str:
    """What the lines of one reply have in common; "" for other lines."""
    message = line.get("message")
    return str(message.get("id") or "") if line.get("type") == "assistant" and isinstance(message, dict) else ""


def _calls(line: dict[str, Any]) -> Iterator[str]:
    return (str(block.get("id")) for block in _blocks(line) if block.get("type") == "tool_use")


def _answers(line: dict[str, Any]) -> Iterator[str]:
    return (str(block.get("tool_use_id")) for block in _blocks(line) if block.get("type") == "tool_result")


def _blocks(line: dict[str, Any]) -> list[dict[str, Any]]:
    message = line.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in as_list(content) if isinstance(block, dict)]


def _message(line: dict[str, Any], transcript: Transcript) -> None:
    if line["type"] == "assistant":
        _assistant(line, transcript)
        return
    said: list[Text | Image] = []
    for block in _blocks(line):
        if block.get("type") == "tool_result":
            content = _content(block.get("content"), transcript)
            transcript.result(str(block.get("tool_use_id")), content, is_error=bool(block.get("is_error")))
        else:
            said += _content([block], transcript)
    text = "\n".join(part.text for part in said if isinstance(part, Text))
    if text.startswith(_INTERRUPTED):
        transcript.interrupted()
    elif line.get("isMeta") or line.get("isCompactSummary") or text.startswith(_MEMORY):
        transcript.note("import", text)
    else:
        transcript.prompt(said)


def _assistant(line: dict[str, Any], transcript: Transcript) -> None:
    message = line.get("message")
    model = str(message.get("model") or "") if isinstance(message, dict) else ""
    if model == "<synthetic>":
        transcript.leave_out("notes of the program")
        return
    for block in _blocks(line):
        match block.get("type"):
            case "text":
                transcript.say(Text(str(block.get("text") or "")), model)
            case "thinking":
                transcript.leave_out("signatures of thinking")
                transcript.say(Thinking(text=str(block.get("thinking") or "")), model)
            case "redacted_thinking":
                transcript.leave_out("thoughts that only their provider can read")
            case "tool_use":
                transcript.call(str(block.get("id")), str(block.get("name")), block.get("input"), model)
            case kind:
                transcript.leave_out(f"parts of type {kind!r}")


def _content(content: Any, transcript: Transcript) -> list[Text | Image]:
    if isinstance(content, str):
        return [Text(content)]
    found: list[Text | Image] = []
    for block in as_list(content):
        kind = block.get("type") if isinstance(block, dict) else None
        source = block.get("source") if kind == "image" else None
        if kind == "text":
            found.append(Text(str(block.get("text") or "")))
        elif isinstance(source, dict) and (picture := image(source.get("media_type"), source.get("data"))) is not None:
            found.append(picture)
        else:
            transcript.leave_out(f"parts of type {kind!r}")
    return found
