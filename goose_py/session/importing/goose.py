"""Goose's sessions: the JSON of `goose session export`, its database `sessions.db` (1.10 and later), and the JSONL files of
earlier versions.

A message has a role and content of types text, image, toolRequest, toolResponse, thinking, redactedThinking and others. Source:
block/goose, `crates/goose/src/conversation/message.rs` and `session/session_manager.rs`."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Image, Text, Thinking
from goose_py.session.importing.transcript import Imported, Transcript, as_list, image, json_lines

PROGRAM = "goose"


def looks_like(lines: Sequence[dict[str, Any]]) -> bool:
    """Of the lines of a file, or of its one JSON document."""
    first = lines[0] if lines else {}
    if isinstance(first.get("conversation"), list) or isinstance(first.get("messages"), list):
        return True
    return any(isinstance(line.get("content"), list) and line.get("role") in ("user", "assistant") for line in lines)


def convert(raw: bytes) -> Imported:
    """An export, or a file of an earlier version. Raises UserError where nothing was said in it."""
    transcript = Transcript(PROGRAM)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict) and "role" not in document:
        _about(document, transcript)
        messages = document.get("conversation") or document.get("messages")
    else:
        messages = []
        for line in json_lines(raw, transcript):
            if "role" in line:
                messages.append(line)
            else:
                _about(line, transcript)
    return _converted(as_list(messages), _model(document), transcript)


def convert_database(path: Path, session_id: str | None) -> Imported:
    """One session of `sessions.db`, which is only read. Raises UserError where it is not there, or where it is not said which
    one and there are several."""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            database.row_factory = sqlite3.Row
            session = _session(database, session_id, path)
            transcript = Transcript(PROGRAM)
            _about(session, transcript)
            rows = database.execute(
                "SELECT role, content_json, created_timestamp FROM messages WHERE session_id = ? ORDER BY id", (session["id"],)
            )
            messages = [_row(row, transcript) for row in rows]
    except sqlite3.Error as error:
        raise UserError(f"{path} is no database of Goose sessions: {error}.") from None
    return _converted([message for message in messages if message], _model(session), transcript)


def _session(database: sqlite3.Connection, session_id: str | None, path: Path) -> dict[str, Any]:
    sessions = [dict(row) for row in database.execute("SELECT * FROM sessions ORDER BY updated_at DESC")]
    wanted = [
        row for row in sessions if session_id is None or session_id in (row["id"], row.get("name"), row.get("description"))
    ]
    if len(wanted) == 1:
        return wanted[0]
    if not wanted:
        raise UserError(f"There is no session {session_id!r} in {path}." if session_id else f"There is no session in {path}.")
    names = ", ".join(f"{row['id']} ({row.get('name') or row.get('description') or ''})" for row in wanted[:8])
    raise UserError(f"Say which session of {path} with --session ID: {names}.")


def _row(row: sqlite3.Row, transcript: Transcript) -> dict[str, Any] | None:
    try:
        return {"role": row["role"], "content": json.loads(row["content_json"]), "created": row["created_timestamp"]}
    except (ValueError, RecursionError):
        transcript.leave_out("messages that are no JSON")
        return None


def _about(session: dict[str, Any], transcript: Transcript) -> None:
    transcript.session_id = transcript.session_id or str(session.get("id") or "")
    transcript.title = transcript.title or str(session.get("name") or session.get("description") or "")
    transcript.folder = transcript.folder or str(session.get("working_dir") or "")


def _model(session: Any) -> str:
    config = session.get("model_config") or session.get("model_config_json") if isinstance(session, dict) else None
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except (ValueError, RecursionError):
            return ""
    return str(config.get("model_name") or "") if isinstance(config, dict) else ""


def _converted(messages: Sequence[Any], model: str, transcript: Transcript) -> Imported:
    for message in messages:
        if not isinstance(message, dict):
            continue
        transcript.at(_seconds(message.get("created")))
        metadata = message.get("metadata")
        if isinstance(metadata, dict) and metadata.get("agentVisible") is False:
            transcript.leave_out("messages that its model no longer saw")
            continue
        content = [part for part in as_list(message.get("content")) if isinstance(part, dict)]
        if message.get("role") == "assistant":
            _assistant(content, model, transcript)
        else:
            hidden = isinstance(metadata, dict) and metadata.get("userVisible") is False
            _user(content, transcript, by_user=not hidden)
    return transcript.finish()


def _seconds(created: Any) -> Any:
    """Versions differ between seconds and milliseconds."""
    return created / 1000 if isinstance(created, (int, float)) and created > 1e11 else created


def _assistant(content: Sequence[dict[str, Any]], model: str, transcript: Transcript) -> None:
    for part in content:
        match part.get("type"):
            case "text":
                transcript.say(Text(str(part.get("text") or "")), model)
            case "thinking":
                transcript.leave_out("signatures of thinking")
                transcript.say(Thinking(text=str(part.get("thinking") or "")), model)
            case "toolRequest" | "frontendToolRequest":
                _request(part, model, transcript)
            case "toolResponse":
                _response(part, transcript)
            case kind:
                transcript.leave_out(f"parts of type {kind!r}")


def _user(content: Sequence[dict[str, Any]], transcript: Transcript, *, by_user: bool) -> None:
    said: list[Text | Image] = []
    for part in content:
        if part.get("type") == "toolResponse":
            _response(part, transcript)
        else:
            said += _shown([part], transcript)
    if by_user:
        transcript.prompt(said)
    elif text := "\n".join(part.text for part in said if isinstance(part, Text)):
        transcript.note("import", text)


def _request(part: dict[str, Any], model: str, transcript: Transcript) -> None:
    call = part.get("toolCall")
    value = call.get("value") if isinstance(call, dict) else None
    if isinstance(value, dict):
        transcript.call(str(part.get("id")), str(value.get("name")), value.get("arguments") or {}, model)
        return
    said = call.get("error") if isinstance(call, dict) else None
    transcript.call(str(part.get("id")), "unknown", str(said or "(a call that could not be read)"), model)


def _response(part: dict[str, Any], transcript: Transcript) -> None:
    result = part.get("toolResult")
    result = result if isinstance(result, dict) else {}
    value = result.get("value")
    failed = result.get("status") == "error" or (isinstance(value, dict) and value.get("isError") is True)
    content = value.get("content") if isinstance(value, dict) else value
    found = _shown(as_list(content), transcript) or [Text(str(result.get("error") or ""))]
    transcript.result(str(part.get("id")), found, is_error=failed)


def _shown(content: Sequence[Any], transcript: Transcript) -> list[Text | Image]:
    return list(_parts(content, transcript))


def _parts(content: Sequence[Any], transcript: Transcript) -> Iterator[Text | Image]:
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        resource = part.get("resource") if kind == "resource" else None
        if kind == "text":
            yield Text(str(part.get("text") or ""))
        elif kind == "image" and (picture := image(part.get("mimeType"), part.get("data"))) is not None:
            yield picture
        elif isinstance(resource, dict) and isinstance(resource.get("text"), str):
            yield Text(resource["text"])
        else:
            transcript.leave_out(f"parts of type {kind!r}")
