"""A question to the user, docked over the prompt: what it is about in full, and numbered answers.

An answer counts only when the question could be read: after it was drawn, after a grace, and, where it is an assent to
something longer than its window, after all of it was scrolled past. Keys that came earlier are dropped.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from goose_py.protocol.safe_text import safe_text
from goose_py.tui.appearance import Look
from goose_py.tui.widgets.text_layout import Row, chopped, fitted, row_width, spread, wrapped

BLANKS = 3
"""More empty lines than this in a row are shown as their number: nothing hides behind a page of nothing."""


@dataclass(frozen=True)
class Option:
    """`key` is a letter, or "escape". `assent`: it lets something happen, so the whole text must have been in view.
    `variants`: texts to choose from with ←→."""

    key: str
    label: str
    assent: bool = False
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """`body` is foreign text, shown whole; `facts` are lines below it."""

    id: str
    title: str
    body: str
    facts: tuple[str, ...]
    options: tuple[Option, ...]
    code: bool = True


@dataclass(frozen=True)
class Gate:
    """When answers count. `drawn` is None until the question was on the screen; times are seconds of one clock."""

    grace: float
    drawn: float | None = None
    rows: int = 0
    seen: int = 0

    def show(self, at: float, rows: int, visible: int) -> Gate:
        return replace(self, drawn=at, rows=rows, seen=max(self.seen, visible))

    def scrolled(self, bottom: int) -> Gate:
        return replace(self, seen=max(self.seen, bottom))

    @property
    def read(self) -> bool:
        return self.drawn is not None and self.seen >= self.rows

    def takes(self, at: float, assent: bool) -> bool:
        """Whether a key that was pressed at `at` is an answer."""
        return self.drawn is not None and at >= self.drawn + self.grace and (self.read or not assent)


class QuestionPanel(Widget, can_focus=True):
    """Shows one `Question` and posts one `Answered` for it."""

    DEFAULT_CSS = "QuestionPanel { height: auto; width: 1fr; display: none; }"

    class Answered(Message):
        def __init__(self, question: Question, option: Option, variant: int) -> None:
            super().__init__()
            self.question = question
            self.option = option
            self.variant = variant

    class PutOff(Message):
        """The user wants to write first. `typed` is what they have written already."""

        def __init__(self, question: Question, typed: str = "") -> None:
            super().__init__()
            self.question = question
            self.typed = typed

    def __init__(self, look: Look, grace: float, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self.question: Question | None = None
        self.room = 12
        self.full = False
        self.gate = Gate(grace)
        self._grace = grace
        self._chosen = 0
        self._variant: dict[str, int] = {}
        self._top = 0
        self._body: list[Row] = []
        self._strips: list[Strip] = []
        self.passes: frozenset[str] = frozenset()
        """Keys that the screen has a use for while the question is shown."""
        self._passed_on = -math.inf

    def ask(self, question: Question | None, room: int) -> None:
        """Show it in at most `room` rows. The same question again only changes its room."""
        if question is not None and self.question is not None and question.id == self.question.id:
            if question != self.question or room != self.room:
                self.question, self.room = question, room
                self._lay_out()
            return
        self.question, self.room = question, room
        self.display = question is not None
        self._chosen, self._top, self._variant, self.full = 0, 0, {}, False
        self._passed_on = -math.inf
        self.gate = Gate(self._grace)
        if question is not None:
            self._lay_out()
            self.call_after_refresh(self._drawn, question.id)

    def _drawn(self, question_id: str) -> None:
        if self.question is None or self.question.id != question_id or self.gate.drawn is not None:
            return
        if not self.size.height:
            self.call_after_refresh(self._drawn, question_id)
            return
        self.gate = self.gate.show(event_time(), len(self._body), self._top + self._window)
        self._lay_out()

    def focused_now(self) -> None:
        """The keys are ours from now on: the grace begins anew, for whoever was typing a moment ago."""
        self._passed_on = -math.inf
        if self.gate.drawn is not None:
            self.gate = replace(self.gate, drawn=event_time())

    # Layout.

    @property
    def _inside(self) -> int:
        return max(16, self.size.width or 80) - 4

    @property
    def _window(self) -> int:
        """Rows of the body that are in view."""
        if self.question is None:
            return 0
        around = len(self._fact_rows()) + len(self.question.options) + 4
        return max(3, min(len(self._body), self.room - around))

    def _fact_rows(self) -> list[Row]:
        rows: list[Row] = []
        for fact in self.question.facts if self.question else ():
            rows += [[Segment(line, self.look["dim"])] for line in wrapped(safe_text(fact), self._inside, self.look)]
        return rows

    def _body_rows(self) -> list[Row]:
        assert self.question is not None
        style = self.look["code" if self.question.code else "text"]
        text = _without_blank_pages(safe_text(self.question.body).rstrip("\n"))
        lay = chopped(text, self._inside - 2) if self.question.code else wrapped(text, self._inside - 2, self.look)
        return [[Segment("  "), Segment(line, style)] for line in lay]

    def _lay_out(self) -> None:
        if self.question is None:
            return
        self._body = self._body_rows()
        window = self._window
        self._top = max(0, min(self._top, len(self._body) - window))
        if self.gate.drawn is not None:
            self.gate = replace(self.gate, rows=len(self._body)).scrolled(self._top + window)
        inside: list[Row] = list(self._body[self._top : self._top + window])
        inside.append(self._more_row(window))
        inside += self._fact_rows()
        inside += [self._option_row(number, option) for number, option in enumerate(self.question.options)]
        rows = [self._edge("╭", "╮", f"── {safe_text(self.question.title)} "), *(self._framed(row) for row in inside)]
        rows.append(self._edge("╰", "╯", f"── {self._hint()} "))
        self._strips = [self.look.strip(row) for row in rows]
        self.styles.height = len(rows)
        self.refresh(layout=True)

    def _more_row(self, window: int) -> Row:
        below = len(self._body) - self._top - window
        if below > 0:
            assents = self.question is not None and any(option.assent for option in self.question.options)
            how = ": scroll to their end (PgDn) before you can allow this" if assents else " (PgDn)"
            text = f"  ↓ {below} more lines{how}"
            return [Segment(fitted(text, self._inside), self.look["warn"])]
        if self._top > 0:
            return [Segment(f"  ↑ {self._top} lines above", self.look["dim"])]
        return []

    def _option_row(self, number: int, option: Option) -> Row:
        look = self.look
        chosen = number == self._chosen
        ready = not option.assent or self.gate.read
        style = look["selected" if chosen else "text"] if ready else look["faint"]
        name = "esc" if option.key == "escape" else f"{number + 1} {option.key}"
        row = [
            Segment("› " if chosen else "  ", look["accent"]),
            Segment(f"{name:<5}", look["key"] if ready else look["faint"]),
        ]
        assert self.question is not None
        column = max((len(each.label) for each in self.question.options if each.variants), default=0)
        label = f"{option.label:<{max(24, column)}}" if option.variants else option.label
        row.append(Segment(label, style))
        if option.variants:
            index = self._variant.get(option.key, 0)
            more = "  ←→" if chosen and len(option.variants) > 1 else ""
            room = self._inside - row_width(row) - len(more) - 2
            row += [Segment(f"  {fitted(safe_text(option.variants[index]), room)}", look["code" if ready else "faint"])]
            row.append(Segment(more, look["dim"]))
        return row

    def _hint(self) -> str:
        if self.gate.drawn is None or not self.has_focus:
            return "your typing goes to the prompt; the question takes the keys when you pause"
        return "↑↓ enter choose" + (" · PgUp PgDn scroll" if len(self._body) > self._window else "")

    def _framed(self, row: Row) -> Row:
        bar = Segment("│", self.look["warn"])
        return [bar, Segment(" "), *spread(row, [], self._inside), Segment(" "), bar]

    def _edge(self, left: str, right: str, text: str) -> Row:
        width = self._inside + 2
        label = fitted(text, width)
        style = self.look["warn"]
        return [Segment(left + label + "─" * max(0, width - row_width([Segment(label)])) + right, style)]

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.look["base"])

    def render(self) -> str:
        return ""

    def on_resize(self) -> None:
        self._lay_out()

    def watch_has_focus(self, _focused: bool) -> None:
        self._lay_out()

    # Answers.

    def on_key(self, event: events.Key) -> None:
        if self.question is None or event.key in self.passes or event.key in _ANYWHERE:
            return
        event.stop()
        event.prevent_default()
        if event.time < self._passed_on + self._grace:
            self._pass_on(event)
        elif event.key == "tab":
            self.post_message(self.PutOff(self.question))
        elif event.key in _MOVES:
            self._move(_MOVES[event.key])
        elif event.key in ("pageup", "pagedown", "home", "end", "ctrl+up", "ctrl+down"):
            self._scroll(event.key)
        elif event.key in ("left", "right"):
            self._vary(1 if event.key == "right" else -1)
        else:
            self._answer(event)

    def _move(self, step: int) -> None:
        assert self.question is not None
        self._chosen = (self._chosen + step) % len(self.question.options)
        self._lay_out()

    def _scroll(self, key: str) -> None:
        page = max(1, self._window - 1)
        steps = {"pageup": -page, "pagedown": page, "ctrl+up": -1, "ctrl+down": 1, "home": -len(self._body), "end": page}
        self._top = max(0, self._top + steps[key])
        self._lay_out()

    def page(self, step: int) -> None:
        """Scroll the text by a window, up (-1) or down (1)."""
        self._scroll("pagedown" if step > 0 else "pageup")

    def _vary(self, step: int) -> None:
        assert self.question is not None
        option = self.question.options[self._chosen]
        if option.variants:
            self._variant[option.key] = (self._variant.get(option.key, 0) + step) % len(option.variants)
            self._lay_out()

    def _answer(self, event: events.Key) -> None:
        assert self.question is not None
        options = self.question.options
        if event.key == "enter":
            option = options[self._chosen]
        else:
            by_key = next((option for option in options if event.key == option.key or event.character == option.key), None)
            number = int(event.character) - 1 if event.character and event.character in "123456789" else -1
            found = by_key or (options[number] if 0 <= number < len(options) else None)
            if found is None:
                self._pass_on(event)
                return
            option = found
        if not self.gate.takes(event.time, option.assent):
            return
        self._passed_on = math.inf
        self.post_message(self.Answered(self.question, option, self._variant.get(option.key, 0)))

    def _pass_on(self, event: events.Key) -> None:
        """A letter that answers nothing is the beginning of a message: it goes to the prompt, and so does what is typed right
        after it, so that no letter in the midst of a sentence counts as an answer. So does what comes after an answer."""
        if self.question is not None and event.is_printable and event.character:
            self._passed_on = max(self._passed_on, event.time)
            self.post_message(self.PutOff(self.question, event.character))

    def on_click(self, event: events.Click) -> None:
        if self.question is None:
            return
        first = len(self._strips) - 1 - len(self.question.options)
        number = event.y - first
        if 0 <= number < len(self.question.options):
            self._chosen = number
            self._lay_out()
            if self.gate.takes(event.time, self.question.options[number].assent):
                option = self.question.options[number]
                self.post_message(self.Answered(self.question, option, self._variant.get(option.key, 0)))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._top += 3
        self._lay_out()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._top = max(0, self._top - 3)
        self._lay_out()


def event_time() -> float:
    """The time that an event made now would carry: whatever clock that is, it is the one of the keys."""
    return Message().time


_ANYWHERE = frozenset({"ctrl+c", "ctrl+d", "ctrl+t", "ctrl+o", "f1", "f2", "f3", "f4"})
_MOVES = {"up": -1, "down": 1}


def _without_blank_pages(text: str) -> str:
    def told(match: re.Match[str]) -> str:
        count = match[0].count("\n") - 1
        return match[0] if count <= BLANKS else f"\n⋯ {count} empty lines ⋯\n"

    return re.sub(r"\n(?:[ \t]*\n)+", told, text)
