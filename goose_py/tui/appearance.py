"""Colours and glyphs. A `Look` is chosen once, from the terminal and the configuration, and handed to all that draws.

Every colour says something that a glyph or a word says too, so that nothing is lost without colour.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.theme import Theme
from textual.strip import Strip

from goose_py.protocol.safe_text import safe_text

ROLES = (
    "text", "dim", "faint", "strong", "accent", "user", "user_bar", "thinking", "ok", "bad", "warn", "running", "review",
    "code", "heading", "quote", "link", "added", "removed", "added_line", "removed_line", "added_word", "removed_word",
    "number", "cursor", "selected", "key", "badge", "title", "hidden", "code_block", "base",
    "surface",
)  # fmt: skip

_DARK = {
    "text": "#d7dae0", "dim": "#8b93a1", "faint": "#5d6675", "strong": "bold #eceff4", "accent": "#7aa2f7",
    "user": "#eceff4 on #232833", "user_bar": "#7aa2f7 on #232833", "thinking": "italic #8b93a1", "ok": "#8fce7d",
    "bad": "#f2777a", "warn": "#e6c074", "running": "#7aa2f7", "review": "#c099ff", "code": "#e0b37f",
    "heading": "bold #7aa2f7", "quote": "#9aa3b2", "link": "#6fc3df", "added": "#8fce7d", "removed": "#f2777a",
    "added_line": "on #17291c", "removed_line": "on #33191d", "added_word": "on #275c35", "removed_word": "on #6e2a31",
    "number": "#808a99", "cursor": "on #2b3242", "selected": "bold #eceff4 on #2b3242", "key": "bold #d7dae0",
    "badge": "bold #16181d on #7aa2f7", "title": "bold #eceff4", "hidden": "bold #16181d on #e6c074",
    "code_block": "on #1c2027",
    "base": "#d7dae0 on #14161b",
    "surface": "#d7dae0 on #1a1d23",
}  # fmt: skip
_LIGHT = {
    "text": "#24292f", "dim": "#57606a", "faint": "#8c959f", "strong": "bold #0d1117", "accent": "#0550ae",
    "user": "#0d1117 on #e7ecf3", "user_bar": "#0550ae on #e7ecf3", "thinking": "italic #57606a", "ok": "#116329",
    "bad": "#b31d28", "warn": "#7d4e00", "running": "#0550ae", "review": "#6639ba", "code": "#953800",
    "heading": "bold #0550ae", "quote": "#4b5561", "link": "#0a5a80", "added": "#116329", "removed": "#b31d28",
    "added_line": "on #e6f6e9", "removed_line": "on #fdebec", "added_word": "on #abe3b6", "removed_word": "on #f8bfc3",
    "number": "#6e7781", "cursor": "on #dde6f2", "selected": "bold #0d1117 on #dde6f2", "key": "bold #24292f",
    "badge": "bold #ffffff on #0550ae", "title": "bold #0d1117", "hidden": "bold #ffffff on #7d4e00",
    "code_block": "on #f1f3f6",
    "base": "#24292f on #ffffff",
    "surface": "#24292f on #f6f8fa",
}  # fmt: skip
_ANSI = {
    "text": "default", "dim": "bright_black", "faint": "bright_black", "strong": "bold", "accent": "blue",
    "user": "bold", "user_bar": "blue", "thinking": "italic bright_black", "ok": "green", "bad": "red", "warn": "yellow",
    "running": "blue", "review": "magenta", "code": "yellow", "heading": "bold blue", "quote": "bright_black",
    "link": "cyan", "added": "green", "removed": "red", "added_line": "", "removed_line": "",
    "added_word": "bold underline", "removed_word": "bold underline", "number": "bright_black", "cursor": "reverse",
    "selected": "reverse", "key": "bold", "badge": "reverse", "title": "bold", "hidden": "reverse",
    "code_block": "",
    "base": "",
    "surface": "",
}  # fmt: skip
_MONO = {
    role: {
        "strong": "bold", "title": "bold", "heading": "bold", "key": "bold", "badge": "reverse", "selected": "reverse",
        "cursor": "reverse", "user": "bold", "hidden": "reverse", "added_word": "underline", "removed_word": "underline",
        "thinking": "italic", "dim": "dim", "faint": "dim", "number": "dim", "quote": "dim",
    }.get(role, "")
    for role in ROLES
}  # fmt: skip
PALETTES = {"dark": _DARK, "light": _LIGHT, "ansi": _ANSI, "mono": _MONO}

_ASCII = str.maketrans(
    {
        "✓": "+", "✗": "x", "●": "*", "○": "o", "◆": "#", "◐": "~", "▌": "|", "│": "|", "┃": "|", "─": "-", "━": "=",
        "╱": "/", "…": "~", "·": "-", "−": "-", "–": "-", "→": ">", "›": ">", "»": ">", "▸": ">", "▾": "v", "▪": "*",
        "⏎": "\\", "✻": "*", "⋯": "~", "▓": "#", "░": ".", "•": "*", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "↑": "^",
        "↓": "v", "←": "<", "▞": "%", "⎇": "@", "▏": "|", "┌": "+", "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+",
        "┬": "+", "┴": "+", "┼": "+", "⏵": ">", "█": "#", "╺": "-", "╸": "-", "╴": "-", "╶": "-", "═": "=", "×": "x",
    }
)  # fmt: skip
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, eq=False)
class Look:
    """`palette` is one of `PALETTES`. `ascii`: only ASCII glyphs of our own are drawn."""

    palette: str = "dark"
    ascii: bool = False
    styles: dict[str, Style] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        styles = {role: Style.parse(PALETTES[self.palette][role] or "none") for role in ROLES}
        object.__setattr__(self, "styles", styles)

    def __getitem__(self, role: str) -> Style:
        return self.styles[role]

    @cached_property
    def console(self) -> Console:
        """What Rich lays text out with; it writes nowhere and reads no environment."""
        theme = {
            "markdown.paragraph": self["text"],
            "markdown.code": self["code"],
            "markdown.strong": Style(bold=True),
            "markdown.em": Style(italic=True),
            "markdown.s": Style(strike=True),
            "markdown.link": self["link"],
            "markdown.link_url": self["dim"],
            "markdown.hr": self["faint"],
            "markdown.block_quote": self["quote"],
            "markdown.item.bullet": self["accent"],
            "markdown.item.number": self["accent"],
            "markdown.table.border": self["faint"],
            "markdown.table.header": self["strong"],
            **{f"markdown.h{level}": self["heading"] for level in range(1, 8)},
        }
        return Console(
            file=io.StringIO(),
            color_system="truecolor",
            force_terminal=True,
            legacy_windows=False,
            markup=False,
            emoji=False,
            highlight=False,
            width=80,
            theme=Theme(theme),
            _environ={},
        )

    @property
    def code_theme(self) -> str:
        """The Pygments style for code that goes with the palette."""
        return {"dark": "nord-darker", "light": "friendly", "ansi": "ansi_dark", "mono": "bw"}[self.palette]

    @property
    def colored(self) -> bool:
        return self.palette != "mono"

    def glyph(self, text: str) -> str:
        return text.translate(_ASCII) if self.ascii else text

    def strip(self, segments: Iterable[Segment], base: str = "base") -> Strip:
        """One line for the screen, on the ground of role `base`. This is the last gate: whatever was forgotten on the way, no
        control character passes."""
        ground = self.styles[base]
        out = []
        for text, style, control in segments:
            if control:
                continue
            if _CONTROL.search(text):
                text = safe_text(text.replace("\t", "    ").replace("\n", " ⏎ "))
            out.append(Segment(self.glyph(text), ground + style if style else ground))
        return Strip(out)
