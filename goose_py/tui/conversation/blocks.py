"""One item of the conversation as rows of cells. Pure: the same item, width and look give the same rows.

All text that is not ours passes `safe_text` here, and none is read as markup.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from goose_py.protocol.call_summary import bare_name, full_call, one_line, summarize_call
from goose_py.protocol.safe_text import safe_text
from goose_py.tui.appearance import Look
from goose_py.tui.state.view_state import (
    AnyItem,
    CallDraftItem,
    CheckItem,
    NoticeItem,
    PlanItem,
    TextItem,
    ThinkingItem,
    ToolItem,
    UserItem,
)
from goose_py.tui.widgets.text_layout import Row, chopped, fitted, row_width, seconds_text, spread, wrapped

RESULT_LINES = 3
QUIET_TOOLS = frozenset({"read", "list", "glob", "grep"})
"""What they found is for the model; a person is told how much it was, and sees it on demand."""
EXPANDED_LINES = 2_000
"""Of one result; the log on disk has the rest, and so many rows say nothing on a screen."""
VERB = 7

TOOL_MARKS = {
    "pending": ("○", "dim"),
    "asking": ("!", "warn"),
    "running": ("●", "running"),
    "ok": ("✓", "ok"),
    "failed": ("✗", "bad"),
    "denied": ("✗", "warn"),
    "unknown": ("!", "warn"),
    "skipped": ("○", "dim"),
}
STEP_MARKS = {
    "pending": ("○", "dim"),
    "in_progress": ("●", "running"),
    "completed": ("✓", "ok"),
    "failed": ("✗", "bad"),
}


def item_rows(item: AnyItem, width: int, look: Look, expanded: bool) -> list[Row]:
    """`TextItem`s have their own, incremental way (`markdown.StreamedMarkdown`) and are not drawn here."""
    return _DRAW[type(item)](item, max(10, width), look, expanded)


def expandable(item: AnyItem) -> bool:
    """True where `expanded` may make a difference."""
    match item:
        case ToolItem():
            return True
        case ThinkingItem():
            return not item.open
        case CheckItem():
            return bool(item.output.strip())
        case NoticeItem():
            return bool(item.detail.strip())
        case PlanItem():
            return any(step.acceptance for step in item.plan.steps)
    return False


def gap_before(item: AnyItem, previous: AnyItem | None) -> bool:
    """A blank row stands between things of different kinds; runs of tool calls stand close together."""
    if previous is None:
        return False
    if isinstance(item, ToolItem | CallDraftItem):
        return not isinstance(previous, ToolItem | CallDraftItem)
    if isinstance(item, NoticeItem) and item.kind == "context":
        return False
    if isinstance(item, NoticeItem) and item.kind == "step":
        return True
    if isinstance(item, NoticeItem | CheckItem):
        return not isinstance(previous, NoticeItem | CheckItem | ToolItem)
    return True


def hidden(item: AnyItem) -> bool:
    """Takes no row unless everything is expanded."""
    return isinstance(item, NoticeItem) and item.kind == "context"


def guess_height(item: AnyItem, width: int) -> int:
    """About how many rows it will have: good enough for a scrollbar, and cheap."""
    match item:
        case UserItem() | TextItem():
            text = item.text
            return text.count("\n") + 1 + len(text) // max(20, width)
        case ToolItem():
            if item.state == "ok" and bare_name(item.call.name) in QUIET_TOOLS:
                return 1
            result = item.result or item.output
            return 1 + min(RESULT_LINES + 1, result.count("\n") + 1 if result else 0)
        case PlanItem():
            return 1 + len(item.plan.steps)
        case NoticeItem(kind="context"):
            return 0
    return 1


def _user(item: UserItem, width: int, look: Look, expanded: bool) -> list[Row]:
    text = safe_text(item.text).strip("\n")
    if item.images:
        text += ("\n" if text else "") + ("[1 image]" if item.images == 1 else f"[{item.images} images]")
    bar = look.glyph("▌ ")
    rows: list[Row] = []
    for line in wrapped(text, width - 3, look):
        row = [Segment(bar, look["user_bar"]), Segment(line, look["user"])]
        rows.append([*row, Segment(" " * max(0, width - row_width(row)), look["user"])])
    if item.steered:
        rows.append([Segment(bar, look["user_bar"]), *_filled("said while it worked", width - 2, look["user"] + look["dim"])])
    return rows


def _filled(text: str, width: int, style: Style) -> Row:
    return [Segment(fitted(text, width).ljust(width), style)]


def _thinking(item: ThinkingItem, width: int, look: Look, expanded: bool) -> list[Row]:
    style = look["thinking"]
    text = safe_text(item.text).strip("\n")
    lines = list(wrapped(text, width - 4, look))
    if item.open:
        shown = lines[-2:]
        return [
            [Segment("  ✻ " if number == 0 else "    ", look["dim"]), Segment(line, style)] for number, line in enumerate(shown)
        ]
    if expanded:
        return [
            [Segment("  ✻ " if number == 0 else "    ", look["dim"]), Segment(line, style)] for number, line in enumerate(lines)
        ]
    first = next((line.strip() for line in lines if line.strip()), "")
    note = " (broken off)" if item.cut else ""
    size = f"  … {len(lines)} lines" if len(lines) > 1 else ""
    return [
        [
            Segment("  ✻ ", look["dim"]),
            Segment(fitted(first, width - 5 - len(size) - len(note)), style),
            Segment(size + note, look["dim"]),
        ]
    ]


def _draft(item: CallDraftItem, width: int, look: Look, expanded: bool) -> list[Row]:
    name = safe_text(bare_name(item.name))
    size = f"  {item.size:,} characters" if item.size else ""
    return [[Segment("○ ", look["dim"]), Segment(fitted(f"writing a call to {name}{size}", width - 2), look["dim"])]]


def _tool(item: ToolItem, width: int, look: Look, expanded: bool) -> list[Row]:
    verb, subject = summarize_call(item.call)
    mark, role = TOOL_MARKS[item.state]
    diff = call_diff(item)
    right = _tool_facts(item, diff, look)
    left = [
        Segment(f"{mark} ", look[role]),
        Segment(f"{safe_text(verb):<{VERB}}", look["strong"]),
        Segment(safe_text(subject) if subject else "", look["text"]),
    ]
    rows = [spread(left, right, width)]
    if expanded:
        rows += _hooked(_call_rows(item, width - 5, look), look)
    if diff and item.state not in ("failed", "denied"):
        rows += _hooked(_diff_rows(diff, width - 5, look, None if expanded else 2 * RESULT_LINES), look)
    if not diff or expanded or item.state in ("failed", "denied"):
        rows += _hooked(_result_rows(item, width - 5, look, expanded), look)
    return rows


def _tool_facts(item: ToolItem, diff: list[str], look: Look) -> Row:
    row: Row = []
    if diff:
        added = sum(line.startswith("+") for line in diff)
        removed = sum(line.startswith("-") for line in diff)
        row += [Segment(f"+{added} ", look["added"]), Segment(f"−{removed}", look["removed"])]
    state = {
        "asking": "waits for you", "denied": "denied", "unknown": "interrupted, outcome unknown", "skipped": "not begun",
        "running": "", "pending": "", "failed": "", "ok": "",
    }[item.state]  # fmt: skip
    if state:
        row.append(Segment(("  " if row else "") + state, look[TOOL_MARKS[item.state][1]]))
    elif item.state == "ok" and item.result and bare_name(item.call.name) in QUIET_TOOLS:
        count = item.result.strip("\n").count("\n") + 1
        row.append(Segment(f"{count} {'line' if count == 1 else 'lines'}  {seconds_text(item.seconds)}", look["dim"]))
    elif item.state in ("ok", "failed") and not (diff and item.seconds < 1):
        row.append(Segment(("  " if row else "") + seconds_text(item.seconds), look["dim"]))
    return row


def _call_rows(item: ToolItem, width: int, look: Look) -> list[Row]:
    _, subject = summarize_call(item.call)
    text = safe_text(full_call(item.call))
    if "\n" not in text and one_line(text) == safe_text(subject):
        return []
    return [[Segment(line, look["code"])] for line in chopped(text, width)]


def _result_rows(item: ToolItem, width: int, look: Look, expanded: bool) -> list[Row]:
    running = item.result is None
    text = (item.output if running else item.result or "").strip("\n")
    lines = safe_text(text.replace("\r\n", "\n")).split("\n") if text else []
    images = f"[{item.images} images]" if item.images > 1 else "[1 image]" if item.images else ""
    if images:
        lines.append(images)
    if not lines:
        return []
    style = look["bad"] if item.state == "failed" else look["dim"]
    if expanded:
        shown = lines[:EXPANDED_LINES]
        rows = [[Segment(part, _output_style(line, look, style))] for line in shown for part in chopped(line, width)]
        hidden = len(lines) - len(shown)
        return [*rows, [Segment(f"… {hidden} more lines in the log", look["dim"])]] if hidden else rows
    telling = [line for line in lines if line.strip()]
    if item.state == "ok" and bare_name(item.call.name) in QUIET_TOOLS:
        return []
    shown = telling[-RESULT_LINES:] if running else _telling(telling, item.state == "failed")
    hidden = len(telling) - len(shown)
    rows = [[Segment(fitted(line.expandtabs(4), width), _output_style(line, look, style))] for line in shown]
    if hidden and not running:
        rows.append([Segment(f"… {hidden} more lines · ctrl+o expands", look["dim"])])
    return rows


def _telling(lines: list[str], failed: bool) -> list[str]:
    """The lines worth showing of a long result: the end of a failure, else the beginning."""
    if len(lines) <= RESULT_LINES + 1:
        return lines
    return lines[-RESULT_LINES:] if failed else lines[:RESULT_LINES]


def _output_style(line: str, look: Look, style: Style) -> Style:
    if line.startswith("+") and not line.startswith("+++"):
        return look["added"]
    if line.startswith("-") and not line.startswith("---"):
        return look["removed"]
    return style


def call_diff(item: ToolItem) -> list[str]:
    """What an edit is about to change, as far as its arguments say: lines that begin with " ", "-" or "+"."""
    name, arguments = bare_name(item.call.name), item.call.arguments
    if name == "edit":
        old, new = arguments.get("old_string"), arguments.get("new_string")
        if isinstance(old, str) and isinstance(new, str):
            return _line_diff(old, new)
    if name == "apply_patch":
        patch = next((value for value in arguments.values() if isinstance(value, str)), "")
        return [line for line in patch.split("\n") if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")]
    return []


def _line_diff(old: str, new: str) -> list[str]:
    before, after = old.removesuffix("\n").split("\n"), new.removesuffix("\n").split("\n")
    if len(before) + len(after) > 4_000:
        return [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]
    lines = difflib.unified_diff(before, after, lineterm="", n=1)
    return [line for line in lines if line[:2] not in ("@@", "--", "++") or line[:3] not in ("---", "+++", "@@ ")]


def _diff_rows(diff: Iterable[str], width: int, look: Look, limit: int | None) -> list[Row]:
    lines = list(diff)
    shown = lines if limit is None or len(lines) <= limit + 1 else lines[:limit]
    rows: list[Row] = []
    for line in shown:
        sign, text = line[:1], safe_text(line[1:]).expandtabs(4)
        role = {"+": "added", "-": "removed"}.get(sign, "dim")
        style = look[role] + look[f"{role}_line"] if sign in "+-" and sign else look[role]
        shown_line = fitted(f"{sign or ' '} {text}", width)
        blank = " " * (width - cell_len(shown_line)) if sign in ("+", "-") else ""
        rows.append([Segment(shown_line + blank, style)])
    hidden = len(lines) - len(shown)
    if hidden:
        rows.append([Segment(f"… {hidden} more lines · ctrl+o expands · F3 review", look["dim"])])
    return rows


def _hooked(rows: list[Row], look: Look) -> list[Row]:
    return [[Segment("  └  " if number == 0 else "     ", look["faint"]), *row] for number, row in enumerate(rows)]


def _plan(item: PlanItem, width: int, look: Look, expanded: bool) -> list[Row]:
    count = len(item.plan.steps)
    title = f"{'New plan' if item.replaced else 'Plan'}, {count} {'step' if count == 1 else 'steps'}"
    verdict, role = "", "dim"
    if item.approved is not None and item.by == "user":
        verdict, role = ("approved by you", "ok") if item.approved else ("rejected by you", "warn")
    elif item.approved is not None:
        verdict = "no approval needed" if item.approved else "rejected"
    rows = [
        spread(
            [Segment("▪ ", look["accent"]), Segment(title, look["strong"])],
            [Segment(verdict, look[role])],
            width,
        )
    ]
    if item.plan.note:
        rows += [[Segment("  " + line, look["dim"])] for line in wrapped(safe_text(item.plan.note), width - 3, look)]
    for number, step in enumerate(item.plan.steps, start=1):
        for first, line in enumerate(wrapped(safe_text(one_line(step.title)), width - 6, look)):
            lead = f"{number:>3}  " if first == 0 else "     "
            rows.append([Segment(lead, look["number"]), Segment(line, look["text"])])
        if step.acceptance and (expanded or item.approved is None):
            text = "done when: " + one_line(step.acceptance)
            rows += [[Segment("     " + line, look["dim"])] for line in wrapped(safe_text(text), width - 6, look)]
    if item.comment:
        rows += [[Segment("  » " + line, look["user"])] for line in wrapped(safe_text(item.comment), width - 5, look)]
    return rows


def _check(item: CheckItem, width: int, look: Look, expanded: bool) -> list[Row]:
    if item.passed:
        fact, role, mark = f"passed  {seconds_text(item.seconds)}", "ok", "✓ "
    elif item.outcome != "failed":
        fact, mark = f"{item.outcome}  {seconds_text(item.seconds)}", "✗ " if item.blocks else "! "
        role = "bad" if item.blocks else "warn"
    elif item.exit_code is None:
        fact, role, mark = f"did not end  {seconds_text(item.seconds)}", "bad", "✗ "
    else:
        fact, role, mark = f"exit {item.exit_code}  {seconds_text(item.seconds)}", "bad", "✗ "
    left = [
        Segment(mark, look[role]),
        Segment(f"{'Check':<{VERB}}", look["strong"]),
        Segment(safe_text(one_line(item.command)), look["text"]),
        Segment("  found" if item.found else "", look["dim"]),
    ]
    rows = [spread(left, [Segment(fact, look[role])], width)]
    if item.reason:
        rows += _hooked([[Segment(line, look["dim"])] for line in wrapped(safe_text(item.reason), width - 5, look)], look)
    if item.outcome not in ("passed", "failed") and not expanded:
        return rows
    lines = safe_text(item.output.strip("\n")).split("\n") if item.output.strip() else []
    if expanded:
        shown = lines[-EXPANDED_LINES:]
        rows += _hooked([[Segment(part, look["dim"])] for line in shown for part in chopped(line, width - 5)], look)
    elif not item.passed:
        rows += _hooked([[Segment(fitted(line.expandtabs(4), width - 5), look["dim"])] for line in lines[-RESULT_LINES:]], look)
    return rows


_NOTICES = {
    "info": ("· ", "dim"),
    "step": ("▸ ", "accent"),
    "context": ("· ", "dim"),
    "warning": ("! ", "warn"),
    "error": ("✗ ", "bad"),
    "changes": ("◆ ", "review"),
    "applied": ("✓ ", "ok"),
    "outcome": ("▪ ", "warn"),
}


def _notice(item: NoticeItem, width: int, look: Look, expanded: bool) -> list[Row]:
    if item.kind == "context" and not expanded:
        return []
    mark, role = _NOTICES[item.kind]
    style = look["dim"] if role == "dim" else look[role]
    lines = list(wrapped(safe_text(item.text), width - 2, look))
    rows: list[Row] = [
        [Segment(mark if number == 0 else "  ", look[role]), Segment(line, style)] for number, line in enumerate(lines)
    ]
    detail = safe_text(item.detail).strip("\n")
    if not detail:
        return rows
    if expanded or item.kind in ("error", "outcome"):
        rows += _hooked([[Segment(line, look["dim"])] for line in wrapped(detail, width - 5, look)], look)
    elif "\n" not in detail and row_width(rows[-1]) + len(detail) + 3 < width:
        rows[-1] = [*rows[-1], Segment(f"  {detail}", look["dim"])]
    elif item.kind == "warning":
        first = detail.split("\n")[0]
        rows += _hooked([[Segment(fitted(first, width - 5), look["dim"])]], look)
    return rows


_DRAW: dict[type, Callable[[Any, int, Look, bool], list[Row]]] = {
    UserItem: _user,
    ThinkingItem: _thinking,
    CallDraftItem: _draft,
    ToolItem: _tool,
    PlanItem: _plan,
    CheckItem: _check,
    NoticeItem: _notice,
}
