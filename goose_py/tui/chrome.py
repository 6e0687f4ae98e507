"""What stands around the conversation, as rows: header, plan, side panel, status, hints. Pure functions of the state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rich.segment import Segment

from goose_py.protocol.call_summary import bare_name, summarize_call
from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.safe_text import safe_line
from goose_py.review.evidence import Evidence, evidence, overall
from goose_py.tui.appearance import Look
from goose_py.tui.conversation.blocks import STEP_MARKS
from goose_py.tui.state.task_line import TaskLine
from goose_py.tui.state.view_state import CallDraftItem, TextItem, ThinkingItem, ToolItem, ViewState
from goose_py.tui.widgets.text_layout import (
    Row,
    clock_text,
    count_text,
    cut_row,
    fitted,
    fitted_start,
    row_width,
    seconds_text,
    spread,
    wrapped,
)

WIDE = 100
"""Columns from which the side panel is shown and texts are spelled out."""

STATUS_MARKS = {"added": ("A", "added"), "deleted": ("D", "removed"), "renamed": ("R", "accent"), "modified": ("M", "accent")}


NEED_MARKS = {
    "you": ("!", "warn"),
    "review": ("◆", "review"),
    "running": ("●", "running"),
    "waiting": ("○", "dim"),
    "done": ("✓", "dim"),
}


IN_PANEL = ("you", "review", "running")
"""What other tasks need to be shown beside the conversation."""


@dataclass(frozen=True)
class Chrome:
    """What the header and the panel show beside the state. `connection` says in a few words what is wrong with it, and
    `problem` in a sentence why. `window` is the model's context in tokens, None where unknown;
    `place` stands where a session has not named its folder yet."""

    tab: str = "chat"
    window: int | None = None
    place: str = ""
    connection: str = ""
    problem: str = ""
    changes: ChangeSet | None = None
    tasks: tuple[TaskLine, ...] = ()


def place_of(state: ViewState, chrome: Chrome) -> str:
    where = state.repository or state.workspace
    return safe_line(PurePosixPath(where).name) if where else chrome.place


def header_rows(state: ViewState, chrome: Chrome, width: int, look: Look) -> list[Row]:
    wide = width >= WIDE
    right = _model_facts(state, chrome, wide, look)
    left: Row = [Segment(" ▞ goose-py  " if wide else " ", look["accent"])]
    left.append(Segment(fitted(place_of(state, chrome), 30 if wide else 16), look["title"]))
    branch = state.base_branch or state.branch
    if branch:
        left.append(
            Segment(f" ╱ {fitted(safe_line(branch), 24)}" if wide else f"╱{fitted(safe_line(branch), 14)}", look["dim"])
        )
    left.append(Segment("  " if wide else " "))
    room = width - row_width(right) - row_width(left) - 1
    for tabs in (_tabs(chrome, wide, look), _tabs(chrome, wide, look, only=chrome.tab)):
        if row_width(tabs) <= room:
            left += tabs
            break
    return [spread(left, right, width), [Segment("━" * width, look["faint"])]]


def welcome_rows(state: ViewState, chrome: Chrome, program: str, width: int, look: Look) -> list[Row]:
    """What a new conversation begins with: where the work happens, and what a user can rely on."""
    if chrome.problem:
        again = "Enter tries again, and what you wrote is kept. ! runs a command here, as in !goose-py doctor."
        texts = [(chrome.problem, "bad"), ("", "dim"), (again, "dim")]
    else:
        texts = [(_what_happens(state, place_of(state, chrome)), "dim")]
        if state.shared:
            shared = safe_line(", ".join(state.shared))
            texts.append((f"It shares {shared} with you; what it changes there stays in the task.", "dim"))
        texts.append(("Every change can be kept or dropped, hunk by hunk (F3). Leaving stops nothing.", "dim"))
    rows: list[Row] = [[], [Segment(f"  ▞ goose-py {program}".rstrip(), look["accent"])], []]
    for text, role in texts:
        rows += [[Segment(f"  {part}", look[role])] for part in wrapped(text, width - 4, look)]
    return rows


def _what_happens(state: ViewState, where: str) -> str:
    origin = f" from {safe_line(state.starts_from)}" if state.starts_from else ""
    if state.repository and state.repository != state.workspace:
        return f"Works on {where} in a worktree of its own{origin}. Your files change when you apply, and not before."
    if state.workspace:
        return f"Works in {safe_line(state.workspace)}."
    return f"Makes a worktree of {where} to work in."


def _tabs(chrome: Chrome, wide: bool, look: Look, only: str = "") -> Row:
    needing = sum(task.need == "you" for task in chrome.tasks)
    running = sum(task.need == "running" for task in chrome.tasks)
    board = "".join((f" ●{running}" if running else "", f" !{needing}" if needing else ""))
    added, removed = changed_lines(chrome.changes)
    review = f" +{added}−{removed}" if added or removed else ""
    names = {"chat": "1 Chat", "tasks": f"2 Tasks{board}", "review": f"3 Review{review}"}
    row: Row = []
    for tab, name in names.items():
        if only and tab != only:
            continue
        text = name if wide else name.replace(" ", "")
        row.append(Segment(f"[{text}]" if tab == chrome.tab else f" {text} ", look["strong" if tab == chrome.tab else "dim"]))
    return row


def _model_facts(state: ViewState, chrome: Chrome, wide: bool, look: Look) -> Row:
    gap = Segment("   " if wide else " ")
    row: Row = []
    if chrome.connection and not chrome.problem:
        row += [Segment(chrome.connection, look["warn"]), gap]
    if state.model is not None:
        name = safe_line(f"{state.model.provider}/{state.model.model}")
        effort = (f" · {state.model.effort}" if wide else f"·{state.model.effort}") if state.model.effort else ""
        row += [Segment(fitted(name, 44 if wide else 30), look["text"]), Segment(effort, look["dim"]), gap]
    row += [Segment(f"▸ {state.mode}" if wide else f"▸{state.mode}", look[MODE_ROLES[state.mode]]), gap]
    share = context_share(state, chrome)
    if share is not None:
        row += [Segment(f"{share:.0%}", look["warn" if share > 0.8 else "dim"]), gap]
    elif state.context_tokens:
        row += [Segment(f"{count_text(state.context_tokens)} tok", look["dim"]), gap]
    row.append(Segment(cost_text(state) + " ", look["text"]))
    return row


MODE_ROLES = {"plan": "review", "ask": "accent", "auto": "warn", "chat": "dim"}


def context_share(state: ViewState, chrome: Chrome) -> float | None:
    return state.context_tokens / chrome.window if chrome.window and state.context_tokens else None


def cost_text(state: ViewState) -> str:
    if state.unpriced and not state.cost:
        return "no price"
    return f"${state.cost:.2f}" + ("+" if state.unpriced else "")


def changed_lines(changes: ChangeSet | None) -> tuple[int, int]:
    return (changes.added, changes.removed) if changes is not None else (0, 0)


def activity(state: ViewState) -> str:
    """What the task is doing, in a few words; "" where it is idle."""
    if state.approvals:
        return f"waits for your answer: {safe_line(summarize_call(state.approvals[0].call).verb)}"
    if not state.running:
        return ""
    if state.retry is not None:
        return "waits to send the request again"
    running = [
        item for _, index in state.open_calls if isinstance(item := state.items[index], ToolItem) and item.state == "running"
    ]
    if running:
        verb, subject = summarize_call(running[-1].call)
        more = f" and {len(running) - 1} more" if len(running) > 1 else ""
        return f"{safe_line(verb)} {safe_line(subject)}{more}".strip()
    if state.live:
        last = state.live[-1]
        if isinstance(last, CallDraftItem):
            size = f" ({last.size:,} characters)" if last.size else ""
            return f"Writing a call to {safe_line(bare_name(last.name))}{size}"
        if isinstance(last, ThinkingItem):
            return "Thinking"
        if isinstance(last, TextItem):
            return "Writing"
    return "Waiting for the model"


SPINNER = "✻✼✽✼"


def status_rows(state: ViewState, chrome: Chrome, width: int, look: Look, now: float, frame: int | None = None) -> list[Row]:
    """`now` is Unix time; `frame` None: no spinner is drawn."""
    wide = width >= WIDE
    right: Row = []
    if state.queued:
        first = safe_line(state.queued[0].text)
        text = f"» {len(state.queued)} queued" + (f": {fitted(first, 34)}" if wide else "") + (" (↑ edit)" if wide else "")
        right = [Segment(text + " ", look["accent"])]
    doing = activity(state)
    if doing:
        mark = "!" if state.approvals else SPINNER[frame % len(SPINNER)] if frame is not None else "✻"
        facts = [clock_text(now - state.turn_started)] if state.turn_started else []
        if state.turn_tokens and wide:
            facts.append(f"↓ {count_text(state.turn_tokens)} tokens")
        if state.retry is not None:
            facts.insert(0, f"attempt {state.retry.attempt} in {max(0, round(state.retry.due - now))} s")
        if state.running and not state.approvals:
            facts.append("esc interrupts")
        tail = "".join(f" · {fact}" for fact in facts)
        room = width - row_width(right) - len(tail) - 4
        role = "warn" if state.approvals or state.retry is not None else "text"
        left = [
            Segment(f" {mark} ", look["warn" if state.approvals else "accent"]),
            Segment(fitted(doing, max(8, room)), look[role]),
            Segment(tail, look["dim"]),
        ]
    else:
        left = _idle_status(state, chrome, look)
    return [spread(left, right, width)]


def _idle_status(state: ViewState, chrome: Chrome, look: Look) -> Row:
    if chrome.problem and not state.items:  # it is said in full above
        return [Segment(f" ! {chrome.connection}", look["bad"]), Segment(" · enter tries again", look["dim"])]
    if chrome.connection:
        return [Segment(f" ! {chrome.problem or chrome.connection}", look["bad" if chrome.problem else "warn"])]
    if state.ended:
        return [Segment(f" ▪ task {state.ended}", look["dim"])]
    if state.plan_waits:
        return [Segment(" ! the plan waits for your decision", look["warn"])]
    added, removed = changed_lines(chrome.changes)
    if state.outcome == "done" and (added or removed) and not state.applied:
        standing = overall(evidence_of(state, _tree_of(state, chrome) or "")) if state.checks else "not run"
        told = {"stale": "checks are stale", "not run": "no check ran", "cannot run": "a check cannot run"}
        checks = told.get(standing, f"checks {standing}")
        return [Segment(" ◆ ready for review", look["review"]), Segment(f" · {checks} · F3", look["dim"])]
    if state.outcome is None:
        return [Segment(" ready", look["dim"])]
    return [Segment(f" {'✓ done' if state.outcome == 'done' else state.outcome.replace('_', ' ')}", look["dim"])]


def plan_line(state: ViewState, chrome: Chrome, width: int, look: Look) -> list[Row]:
    """The plan in one row, for narrow screens; no row where there is none."""
    needing = sum(task.need == "you" for task in chrome.tasks)
    said = "task needs" if needing == 1 else "tasks need"
    right: Row = [Segment(f"!{needing} {said} you F2 ", look["warn"])] if needing else []
    if state.plan is None or not state.plan.steps:
        return [spread([], right, width)] if right else []
    done, total = state.plan.progress()
    step = current_step(state)
    mark, role = STEP_MARKS[step.status] if step else ("✓", "ok")
    left = [
        Segment(" PLAN ", look["title"]),
        Segment(f"{done}/{total} ", look["dim"]),
        Segment(f"{mark} ", look[role]),
        Segment(safe_line(step.title) if step else "all done", look["text"]),
    ]
    return [spread(left, right or [Segment("ctrl+t all ", look["dim"])], width)]


def current_step(state: ViewState):  # type: ignore[no-untyped-def]
    """The step at work, else the next one; None where all are done."""
    steps = state.plan.steps if state.plan else ()
    for wanted in ("in_progress", "failed", "pending"):
        found = next((step for step in steps if step.status == wanted), None)
        if found is not None:
            return found
    return None


def panel_rows(state: ViewState, chrome: Chrome, width: int, height: int, look: Look) -> list[Row]:
    """The side panel: plan, other tasks, checks, changed files, context. Sections that do not fit are left out whole."""
    sections = [
        _plan_section(state, width, look),
        _tasks_section(chrome.tasks, width, look),
        _checks_section(state, chrome, width, look),
        _changes_section(chrome.changes, width, look),
        _context_section(state, chrome, width, look),
    ]
    rows: list[Row] = []
    for section in sections:
        if not section:
            continue
        room = height - len(rows) - (1 if rows else 0)
        if room < min(2, len(section)):
            break
        rows += [[], *_limited(section, room, look)] if rows else _limited(section, room, look)
    return rows


def _limited(section: list[Row], room: int, look: Look) -> list[Row]:
    if len(section) <= room:
        return section
    return [*section[: room - 1], [Segment(f"… {len(section) - room + 1} more", look["dim"])]]


def _title(name: str, fact: str, key: str, width: int, look: Look) -> Row:
    return spread([Segment(name, look["title"]), Segment(f"  {fact}", look["dim"])], [Segment(key, look["dim"])], width)


def _plan_section(state: ViewState, width: int, look: Look) -> list[Row]:
    if state.plan is None or not state.plan.steps:
        return []
    done, total = state.plan.progress()
    fact = f"{done}/{total}" + ("  waits for you" if state.plan_waits else "")
    rows = [_title("PLAN", fact, "ctrl+t", width, look)]
    for step in state.plan.steps:
        mark, role = STEP_MARKS[step.status]
        style = look["text"] if step.status in ("in_progress", "failed") else look["dim"]
        for number, line in enumerate(wrapped(safe_line(step.title), width - 2, look)):
            rows.append([Segment(f"{mark} " if number == 0 else "  ", look[role]), Segment(line, style)])
    return rows


def _tasks_section(tasks: Sequence[TaskLine], width: int, look: Look) -> list[Row]:
    shown = [task for task in tasks if task.need in IN_PANEL]
    if not shown:
        return []
    needing = sum(task.need == "you" for task in shown)
    running = sum(task.need == "running" for task in shown)
    facts = [f"{running} running"] * bool(running) + [f"{needing} {'needs' if needing == 1 else 'need'} you"] * bool(needing)
    rows = [_title("TASKS", " · ".join(facts), "F2", width, look)]
    for task in shown[:5]:
        mark, role = NEED_MARKS[task.need]
        fact = task.doing or (f"+{task.added} −{task.removed}" if task.added or task.removed else "")
        name = fitted(safe_line(task.title), max(10, width // 2 - 2))
        rest = max(0, width - 2 - row_width([Segment(name)]) - 2)
        row = [
            Segment(f"{mark} ", look[role]),
            Segment(name, look["text"]),
            Segment(f"  {fitted(safe_line(fact), rest)}", look["dim"]),
        ]
        rows.append(row)
    return rows


STANDINGS = {
    "passed": ("✓", "ok"),
    "failed": ("✗", "bad"),
    "failed before": ("!", "warn"),
    "timed out": ("!", "warn"),
    "cannot run": ("!", "warn"),
    "stale": ("!", "warn"),
    "not run": ("○", "dim"),
}
"""A check that proves something about the files as they are, or does not: its glyph and role."""


def evidence_of(state: ViewState, tree: str) -> tuple[Evidence, ...]:
    """What the checks prove about `tree`."""
    return evidence(state.check_commands, state.verified, tree)


def _checks_section(state: ViewState, chrome: Chrome, width: int, look: Look) -> list[Row]:
    tree = _tree_of(state, chrome)
    seconds = {check.command: check.seconds for check in state.checks}
    found = [each for each in evidence_of(state, tree or "") if each.command in seconds]
    if not found:
        return []
    rows = [_title("CHECKS", "", "", width, look)]
    for each in found:
        standing = each.last if (state.running or tree is None) and each.last else each.standing
        mark, role = STANDINGS[standing]
        fact = {"stale": f"stale, had {each.last}", "failed": check_failure(each.exit_code)}.get(standing, standing)
        right = [Segment(f"{fact} {seconds_text(seconds[each.command])}", look[role])]
        rows.append(spread([Segment(f"{mark} ", look[role]), Segment(safe_line(each.command), look["text"])], right, width))
    return rows


def _tree_of(state: ViewState, chrome: Chrome) -> str | None:
    """The files as they are now, as far as is known."""
    if chrome.changes is not None:
        return chrome.changes.result_tree
    return state.changes.tree_after if state.changes else None


def check_failure(exit_code: int | None) -> str:
    return "did not end" if exit_code is None else f"exit {exit_code}"


def _changes_section(changes: ChangeSet | None, width: int, look: Look) -> list[Row]:
    if changes is None or not changes.files:
        return []
    added, removed = changed_lines(changes)
    rows = [_title("CHANGED", f"this task  +{added} −{removed}", "F3", width, look)]
    for file in changes.files:
        mark, role = STATUS_MARKS.get(file.status, ("M", "accent"))
        if file.binary:
            right = [Segment("binary", look["dim"])]
        else:
            right = [Segment(f"+{file.added or 0:<3}", look["added"]), Segment(f" −{file.removed or 0:<3}", look["removed"])]
        room = width - row_width(right) - 3
        rows.append(
            spread(
                [Segment(f"{mark} ", look[role]), Segment(fitted_start(safe_line(file.path), room), look["text"])], right, width
            )
        )
    return rows


def _context_section(state: ViewState, chrome: Chrome, width: int, look: Look) -> list[Row]:
    if not state.context_tokens:
        return []
    share = context_share(state, chrome)
    rows: list[Row] = []
    if share is not None:
        cells = max(4, width - 14)
        full = min(cells, round(share * cells))
        bar = [Segment("▓" * full, look["warn" if share > 0.8 else "accent"]), Segment("░" * (cells - full), look["faint"])]
        rows.append([Segment("CONTEXT ", look["title"]), Segment(f"{share:>4.0%}  ", look["dim"]), *bar])
        rows.append([Segment(f"{count_text(state.context_tokens)} of {count_text(chrome.window or 0)} tokens", look["dim"])])
    else:
        rows.append([Segment("CONTEXT ", look["title"]), Segment(f" {count_text(state.context_tokens)} tokens", look["dim"])])
    limit = f" of ${state.limits.max_cost:.2f}" if state.limits.max_cost is not None else ""
    spent = count_text(state.usage.input_tokens + state.usage.cache_read_tokens + state.usage.cache_write_tokens)
    rows.append([Segment(f"spent {cost_text(state)}{limit} · ↑{spent} ↓{count_text(state.usage.output_tokens)}", look["dim"])])
    return [cut_row(row, width) for row in rows]


def hint_row(left: Iterable[tuple[str, str]], right: Iterable[tuple[str, str]], width: int, look: Look) -> Row:
    """Keys and what they do now, as ("enter", "send"). What does not fit is left out from the end of `left`."""
    tail = _keys(right, look)
    head: Row = []
    for key, meaning in left:
        more = _keys([(key, meaning)], look)
        if row_width(head) + row_width(more) + row_width(tail) + 1 > width:
            break
        head += more
    return spread(head, tail, width)


def _keys(pairs: Iterable[tuple[str, str]], look: Look) -> Row:
    row: Row = []
    for key, meaning in pairs:
        row += [Segment(f" {key}", look["key"]), Segment(f" {meaning} ", look["dim"])]
    return row
