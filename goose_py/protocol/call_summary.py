"""How a tool call is shown to a person: in one line, or in full. Pure text, not yet made safe for a terminal.

Every consumer shows the same words for the same call, whether on a screen, in a log or on standard error.
"""

import json
import re
from typing import NamedTuple

from goose_py.protocol.messages import ToolCall, ToolResult


class CallSummary(NamedTuple):
    """`verb` is the tool's short name, `subject` what it is about, on one line ("" where nothing stands out)."""

    verb: str
    subject: str


_SUBJECTS = {
    "shell": ("command",),
    "read": ("path",),
    "write": ("path",),
    "edit": ("path",),
    "list": ("path",),
    "glob": ("pattern", "path"),
    "grep": ("pattern", "path"),
}
_USUAL = ("command", "path", "file_path", "url", "query", "pattern", "name", "title")


def bare_name(tool: str) -> str:
    """The tool's name without the extension's prefix (`developer__shell` is `shell`)."""
    return tool.rsplit("__", 1)[-1] or tool


def summarize_call(call: ToolCall) -> CallSummary:
    name = bare_name(call.name)
    if call.malformed is not None:
        return CallSummary(name.capitalize(), "arguments that are no JSON object")
    if name == "apply_patch":
        return CallSummary("Patch", ", ".join(_patched_paths(call)))
    known = name in _SUBJECTS
    verb = name.replace("_", " ")
    verb = verb[:1].upper() + verb[1:]
    keys = _SUBJECTS.get(name, _USUAL)
    found = [one_line(call.arguments[key]) for key in keys if call.arguments.get(key) not in (None, "")]
    if not known:
        found = found[:1] or ([one_line(call.arguments)] if call.arguments else [])
    subject = "  ".join(found)
    if name == "read" and found:
        subject += _line_range(call)
    return CallSummary(verb, subject)


def exit_code(result: ToolResult) -> int | None:
    """The exit code of a command, from the last line of its result, which the developer extension writes as `[exit code N]`;
    None for other results. That a command failed is no failure of the tool."""
    found = _EXIT_CODE.search(result.text())
    return int(found[1]) if found else None


_EXIT_CODE = re.compile(r"\[exit code (\d+)[^\]\n]*\]\s*\Z")


def full_call(call: ToolCall) -> str:
    """Everything that will run: the tool's name, and each argument in full. Nothing is shortened or re-ordered."""
    if call.malformed is not None:
        return f"{call.name}\n{call.malformed}"
    if list(call.arguments) == ["command"] and isinstance(call.arguments["command"], str):
        return call.arguments["command"]
    parts = []
    for key, value in call.arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        parts.append(f"{key}:\n{text}" if "\n" in text else f"{key}: {text}")
    return "\n".join(parts) or "(no arguments)"


def one_line(value: object) -> str:
    """`value` as text in which line breaks are visible as ⏎."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ⏎ ".join(line.strip() for line in text.strip().split("\n") if line.strip())


def _line_range(call: ToolCall) -> str:
    for first, last in (("start_line", "end_line"), ("start", "end")):
        start, end = call.arguments.get(first), call.arguments.get(last)
        if start is not None or end is not None:
            return f"  {start if start is not None else 1}–{end if end is not None else ''}"
    offset, limit = call.arguments.get("offset"), call.arguments.get("limit")
    if isinstance(offset, int) and isinstance(limit, int):
        return f"  {offset}–{offset + limit - 1}"
    return f"  {offset}–" if offset is not None else ""


def _patched_paths(call: ToolCall) -> list[str]:
    text = next((value for value in call.arguments.values() if isinstance(value, str)), "")
    markers = ("*** Update File: ", "*** Add File: ", "*** Delete File: ", "+++ b/")
    paths = []
    for line in text.split("\n"):
        for marker in markers:
            if line.startswith(marker):
                paths.append(line.removeprefix(marker).strip())
    return list(dict.fromkeys(paths))
