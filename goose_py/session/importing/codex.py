"""Codex's rollouts: `~/.codex/sessions/YYYY/MM/DD/rollout-TIME-ID.jsonl`.

One object a line, `{timestamp, type, payload}`; `response_item` holds an item of OpenAI's Responses protocol. Rollouts of 2025
and before have the items themselves on the lines, after one line about the session. `event_msg` repeats for the screen what the
items say and is left out, but for the interrupt. Source: openai/codex, `codex-rs/protocol/src/{protocol,models}.rs`."""

import re
from collections.abc import Sequence
from typing import Any

from goose_py.protocol.messages import Image, Text, Thinking
from goose_py.session.importing.transcript import Imported, Transcript, as_list, image, json_lines

PROGRAM = "codex"
_ITEMS = (
    "message", "reasoning", "function_call", "function_call_output", "local_shell_call", "custom_tool_call",
    "custom_tool_call_output", "web_search_call",
)  # fmt: skip
_OF_THE_PROGRAM = re.compile(
    r"\s*(?:<(?:user_instructions|environment_context|INSTRUCTIONS|turn_aborted|permissions)\b|# AGENTS\.md instructions)"
)
_EXIT_CODE = re.compile(r"(?:Process exited with code|Exit code:) (\d+)")


def looks_like(lines: Sequence[dict[str, Any]]) -> bool:
    first = lines[0] if lines else {}
    old = {"id", "timestamp"} <= first.keys() and any(line.get("type") in _ITEMS for line in lines)
    return old or any(line.get("type") in ("session_meta", "response_item") and "payload" in line for line in lines)


def convert(raw: bytes) -> Imported:
    """Raises UserError where nothing was said in it."""
    transcript = Transcript(PROGRAM)
    model = ""
    for line in json_lines(raw, transcript):
        transcript.at(line.get("timestamp"))
        payload = line.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        match line.get("type"):
            case "session_meta":
                _about(payload, transcript)
            case "turn_context":
                model = str(payload.get("model") or model)
            case "response_item":
                _item(payload, model, transcript)
            case "compacted":
                transcript.note("import", str(payload.get("message") or ""))
            case "event_msg":
                if payload.get("type") == "turn_aborted":
                    transcript.interrupted()
            case kind if kind in _ITEMS:
                _item(line, model, transcript)
            case None if "id" in line and "timestamp" in line:
                _about(line, transcript)
            case kind:
                if line.get("record_type") != "state":
                    transcript.leave_out(f"entries of type {kind!r}")
    return transcript.finish()


def _about(meta: dict[str, Any], transcript: Transcript) -> None:
    transcript.session_id = transcript.session_id or str(meta.get("id") or "")
    transcript.folder = transcript.folder or str(meta.get("cwd") or "")


def _item(item: dict[str, Any], model: str, transcript: Transcript) -> None:
    call_id = str(item.get("call_id") or item.get("id") or "")
    match item.get("type"):
        case "message":
            _message(item, model, transcript)
        case "reasoning":
            if item.get("encrypted_content"):
                transcript.leave_out("signatures of thinking")
            texts = [part.get("text") for part in as_list(item.get("summary")) if isinstance(part, dict)]
            if text := "\n".join(text for text in texts if isinstance(text, str)):
                transcript.say(Thinking(text=text), model)
        case "function_call":
            transcript.call(call_id, str(item.get("name")), str(item.get("arguments") or ""), model)
        case "local_shell_call":
            action = item.get("action")
            command = action.get("command") if isinstance(action, dict) else None
            transcript.call(call_id, "shell", {"command": command}, model)
        case "custom_tool_call":
            transcript.call(call_id, str(item.get("name")), {"input": item.get("input")}, model)
        case "function_call_output" | "custom_tool_call_output":
            _output(call_id, item.get("output"), transcript)
        case kind:
            transcript.leave_out(f"items of type {kind!r}")


def _message(item: dict[str, Any], model: str, transcript: Transcript) -> None:
    said: list[Text | Image] = []
    for part in as_list(item.get("content")):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("input_text", "output_text", "text"):
            said.append(Text(str(part.get("text") or "")))
        elif kind == "input_image" and (picture := _picture(part.get("image_url"))) is not None:
            said.append(picture)
        else:
            transcript.leave_out(f"parts of type {kind!r}")
    texts = [part for part in said if isinstance(part, Text)]
    match item.get("role"):
        case "assistant":
            for part in texts:
                transcript.say(part, model)
        case "user" if all(_OF_THE_PROGRAM.match(part.text) for part in texts) and len(texts) == len(said):
            transcript.leave_out("instructions of the program")
        case "user":
            transcript.prompt(part for part in said if not (isinstance(part, Text) and _OF_THE_PROGRAM.match(part.text)))
        case _:
            transcript.leave_out("instructions of the program")


def _output(call_id: str, output: Any, transcript: Transcript) -> None:
    """A text, a text that is JSON with the text in it, or parts."""
    failed = False
    if isinstance(output, dict):
        failed = output.get("success") is False
        output = output.get("content")
    if isinstance(output, str):
        code = _EXIT_CODE.search(output[:500])
        transcript.result(call_id, (Text(output),), is_error=failed or (code is not None and code.group(1) != "0"))
        return
    found: list[Text | Image] = []
    for part in as_list(output):
        picture = _picture(part.get("image_url")) if isinstance(part, dict) else None
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            found.append(Text(part["text"]))
        elif picture is not None:
            found.append(picture)
    transcript.result(call_id, found, is_error=failed)


def _picture(url: Any) -> Image | None:
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    kind, _, data = url.removeprefix("data:").partition(",")
    return image(kind.partition(";")[0], data)
