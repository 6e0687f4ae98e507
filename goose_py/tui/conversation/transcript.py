"""The conversation as plain text for the terminal that comes back when the screen closes. Pure."""

from __future__ import annotations

from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.safe_text import safe_line, safe_text
from goose_py.tui.state.view_state import AnyItem, CheckItem, NoticeItem, TextItem, ToolItem, UserItem, ViewState

LINES = 60
_STATES = {"ok": "✓", "failed": "✗", "denied": "✗", "unknown": "?", "skipped": "○"}


def short_transcript(state: ViewState, lines: int = LINES) -> str:
    """The end of it: what was said whole, what tools did in a line each; "" where nobody said anything. Safe to print."""
    found: list[str] = []
    begun = False
    for number in range(len(state.items) - 1, -1, -1):
        item = state.items[number]
        begun = begun or isinstance(item, UserItem)
        found = [*_lines(item), *found]
        if len(found) > lines:
            return "\n".join([f"… earlier: `goose-py session show {state.session_id}`", *found[-lines:]])
    return "\n".join(found) if begun else ""


def _lines(item: AnyItem) -> list[str]:
    match item:
        case UserItem(text=text):
            first, *rest = safe_text(text).split("\n")
            return ["", f"› {first}", *(f"  {line}" for line in rest)]
        case TextItem(text=text):
            return ["", *(f"  {line}".rstrip() for line in safe_text(text).strip().split("\n"))]
        case ToolItem(call=call, state=state):
            verb, subject = summarize_call(call)[:2]
            return [f"{_STATES.get(state, '●')} {safe_line(verb)} {safe_line(subject)}".rstrip()]
        case CheckItem(command=command):
            mark = "✓" if item.passed else "✗" if item.blocks else "!"
            return [f"{mark} check {safe_line(command)}"]
        case NoticeItem(kind=kind, text=text) if kind in ("warning", "error", "changes", "applied", "outcome"):
            return [f"▪ {safe_line(text)}"]
        case _:
            return []
