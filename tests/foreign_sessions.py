"""Small sessions of other programs, in the shapes that they write: the material of the import tests."""

import base64
import json
import sqlite3
from pathlib import Path
from typing import Any

PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()


def lines(*objects: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in objects)


def claude_code() -> bytes:
    """Two turns: one reply in four lines with two calls whose results come between, an abandoned branch, a subagent, a
    picture, an interrupt; and a torn last line."""
    about = {"sessionId": "c0ffee", "cwd": "/home/ada/cart", "version": "2.1.0", "isSidechain": False}

    def line(kind: str, uuid: str, parent: str | None, content: Any, second: int, **extra: Any) -> dict[str, Any]:
        message: dict[str, Any] = {"role": kind, "content": content}
        if kind == "assistant":
            message |= {"model": "claude-opus-4-6", "id": extra.pop("reply"), "type": "message", "stop_reason": None}
        stamp = f"2026-03-01T10:00:{second:02}.000Z"
        return {**about, "type": kind, "uuid": uuid, "parentUuid": parent, "timestamp": stamp, "message": message, **extra}

    def called(call: str, name: str, **arguments: Any) -> list[dict[str, Any]]:
        return [{"type": "tool_use", "id": call, "name": name, "input": arguments}]

    def answered(call: str, content: Any, *, error: bool = False) -> list[dict[str, Any]]:
        return [{"type": "tool_result", "tool_use_id": call, "content": content, **({"is_error": True} if error else {})}]

    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    return lines(
        {"type": "summary", "summary": "The cart's discount", "leafUuid": "a9"},
        {"type": "file-history-snapshot", "messageId": "u1", "snapshot": {}},
        line("user", "u0", None, "An older wording", 0),
        line("assistant", "a0", "u0", [{"type": "text", "text": "An older answer"}], 1, reply="m0"),
        line("user", "u1", None, [{"type": "text", "text": "Why is the total wrong?"}, picture], 2),
        line("assistant", "a1", "u1", [{"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}], 3, reply="m1"),
        line("assistant", "a2", "a1", [{"type": "text", "text": "I look at both."}], 4, reply="m1"),
        line("assistant", "a3", "a2", called("toolu_1", "Read", file_path="/home/ada/cart/cart.py"), 5, reply="m1"),
        line("user", "r1", "a3", answered("toolu_1", "     1→def total(prices):"), 6),
        line("assistant", "a4", "a3", called("toolu_2", "Bash", command="pytest -q"), 7, reply="m1"),
        line("user", "r2", "a4", answered("toolu_2", [{"type": "text", "text": "1 failed"}], error=True), 8),
        {**line("user", "s1", None, "Search the repository", 8), "isSidechain": True},
        line("assistant", "a5", "r2", [{"type": "text", "text": "The sign is wrong."}], 9, reply="m2"),
        line("user", "u2", "a5", "Then mend it", 10),
        line("assistant", "a6", "u2", called("toolu_3", "Edit", old_string="+", new_string="-"), 11, reply="m3"),
        line("user", "u3", "a6", [{"type": "text", "text": "[Request interrupted by user for tool use]"}], 12),
    ) + b'{"type":"assistant","uuid":"a7","mess'


def codex() -> bytes:
    """The form of today: `{timestamp, type, payload}`."""

    def item(second: int, kind: str, **payload: Any) -> dict[str, Any]:
        return {"timestamp": f"2026-03-01T11:00:{second:02}.000Z", "type": kind, "payload": payload}

    def said(second: int, role: str, *content: dict[str, Any]) -> dict[str, Any]:
        return item(second, "response_item", type="message", role=role, content=list(content))

    def text(words: str) -> dict[str, Any]:
        return {"type": "input_text", "text": words}

    arguments = json.dumps({"command": ["bash", "-lc", "pytest -q"]})
    failed = "Exit code: 1\nOutput:\n1 failed\n"
    picture = f"data:image/png;base64,{PIXEL}"
    thought = [{"type": "summary_text", "text": "Look."}]
    return lines(
        item(0, "session_meta", id="0199-abc", cwd="/home/ada/cart", cli_version="0.70.0", originator="codex_cli_rs"),
        said(1, "developer", text("You are Codex.")),
        said(1, "user", text("<environment_context>\n<cwd>/home/ada/cart</cwd>\n</environment_context>")),
        item(2, "turn_context", cwd="/home/ada/cart", model="gpt-5.5", approval_policy="on-request"),
        said(2, "user", text("Why is the total wrong?"), {"type": "input_image", "image_url": picture}),
        item(2, "event_msg", type="user_message", message="Why is the total wrong?"),
        item(3, "response_item", type="reasoning", summary=thought, encrypted_content="gAAA"),
        item(4, "response_item", type="function_call", name="shell", arguments=arguments, call_id="call_1"),
        item(4, "response_item", type="custom_tool_call", name="apply_patch", input="*** Begin Patch", call_id="call_2"),
        item(5, "response_item", type="function_call_output", call_id="call_1", output=failed),
        item(5, "response_item", type="custom_tool_call_output", call_id="call_2", output="Success."),
        item(6, "event_msg", type="token_count", info=None),
        said(7, "assistant", {"type": "output_text", "text": "The sign was wrong."}),
        said(8, "user", text("And the tests?")),
        item(9, "response_item", type="function_call", name="shell", arguments="{broken", call_id="call_3"),
        item(9, "event_msg", type="turn_aborted", reason="interrupted"),
        item(10, "response_item", type="ghost_snapshot", ghost_commit={}),
    )


def codex_of_2025() -> bytes:
    """Bare items after one line about the session."""
    return lines(
        {"id": "old-1", "timestamp": "2025-06-01T09:00:00.000Z", "instructions": None},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "List the files"}]},
        {"record_type": "state"},
        {
            "type": "local_shell_call", "call_id": "call_9", "status": "completed",
            "action": {"type": "exec", "command": ["ls"]},
        },
        {"type": "function_call_output", "call_id": "call_9", "output": '{"output":"cart.py","metadata":{"exit_code":0}}'},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "One file."}]},
    )  # fmt: skip


def goose_messages() -> list[dict[str, Any]]:
    def request(call: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        value = {"name": name, "arguments": arguments}
        return {"type": "toolRequest", "id": call, "toolCall": {"status": "success", "value": value}}

    def response(call: str, value: Any, status: str = "success") -> dict[str, Any]:
        return {"type": "toolResponse", "id": call, "toolResult": {"status": status, "value": value}}

    def text(words: str) -> dict[str, Any]:
        return {"type": "text", "text": words}

    seen = {"userVisible": True, "agentVisible": True}
    forgotten = {"userVisible": True, "agentVisible": False}
    picture = {"type": "image", "data": PIXEL, "mimeType": "image/png"}
    return [
        {"role": "user", "created": 1772359200, "content": [text("Why is the total wrong?"), picture], "metadata": seen},
        {
            "role": "assistant", "created": 1772359201, "metadata": seen,
            "content": [
                {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
                text("I look."),
                request("g1", "developer__shell", {"command": "pytest -q"}),
                request("g2", "developer__text_editor", {"command": "view", "path": "cart.py"}),
            ],
        },
        {
            "role": "user", "created": 1772359202, "metadata": seen,
            "content": [
                response("g1", {"content": [text("1 failed")], "isError": True}),
                response("g2", [text("def total(prices):")]),
            ],
        },
        {"role": "assistant", "created": 1772359203, "content": [text("The sign is wrong.")], "metadata": seen},
        {"role": "user", "created": 1772359204, "content": [text("hidden")], "metadata": forgotten},
        {"role": "user", "created": 1772359205, "content": [text("Mend it")], "metadata": seen},
        {
            "role": "assistant", "created": 1772359206, "metadata": seen,
            "content": [
                {"type": "toolConfirmationRequest", "id": "g3"},
                request("g3", "developer__shell", {"command": "sed -i"}),
            ],
        },
    ]  # fmt: skip


def goose_export() -> bytes:
    session = {
        "id": "20260301_1", "name": "The cart's discount", "working_dir": "/home/ada/cart", "provider_name": "anthropic",
        "model_config": {"model_name": "claude-opus-4-6"}, "message_count": 7, "conversation": goose_messages(),
    }  # fmt: skip
    return json.dumps(session, indent=2).encode()


def goose_of_2025() -> bytes:
    about = {"working_dir": "/home/ada/cart", "description": "The cart's discount", "message_count": 7}
    return lines(about, *goose_messages())


def goose_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT, description TEXT, working_dir TEXT, updated_at TIMESTAMP, "
            "provider_name TEXT, model_config_json TEXT)"
        )
        database.execute(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT, session_id TEXT, role TEXT, "
            "content_json TEXT, created_timestamp INTEGER, metadata_json TEXT)"
        )
        for number in (1, 2):
            about = (f"20260301_{number}", f"Session {number}", "", "/home/ada/cart", f"2026-03-0{number}")
            row = (*about, "anthropic", '{"model_name": "m"}')
            database.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            for message in goose_messages():
                database.execute(
                    "INSERT INTO messages (session_id, role, content_json, created_timestamp, metadata_json) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (
                        row[0],
                        message["role"],
                        json.dumps(message["content"]),
                        message["created"],
                        json.dumps(message["metadata"]),
                    ),
                )
    database.close()
