"""Markdown to rows of cells, bit by bit while it streams in.

Rich lays it out. What is closed (a paragraph, a list, forty lines of a code fence) is rendered once and kept; only the open
end is rendered again when more text comes. Links, images and raw HTML are shown as text: nothing is fetched, nothing can be
clicked, and no entity becomes a character that was not there.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, HorizontalRule, Markdown
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.text import Span, Text

from goose_py.protocol.safe_text import safe_text
from goose_py.tui.appearance import Look
from goose_py.tui.widgets.text_layout import Row

FENCE_CHUNK = 40
INDENT = 2
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$")
_LIST = re.compile(r"\s{0,3}([-*+]|\d{1,9}[.)])\s")
_OFF = ("entity", "html_inline", "html_block", "image")


class _PlainHeading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self.text.copy()
        text.justify = "left"
        yield text


class _QuietRule(HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("─" * min(options.max_width, 40), style="markdown.hr")


class _ShadedCode(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from code_lines(str(self.text).rstrip("\n"), self.lexer_name, self.theme, options.max_width)


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt().enable("strikethrough").enable("table").disable(list(_OFF))


class SafeMarkdown(Markdown):
    """Rich's Markdown without anything that acts: no links, images, HTML or entities."""

    elements = {  # noqa: RUF012 - Rich declares it so
        **Markdown.elements,
        "heading_open": _PlainHeading,
        "hr": _QuietRule,
        "fence": _ShadedCode,
        "code_block": _ShadedCode,
    }

    def __init__(self, markup: str, code_theme: str) -> None:
        super().__init__("", code_theme=code_theme, hyperlinks=False)
        self.markup = markup
        self.parsed = _parser().parse(markup)


def code_lines(code: str, lexer: str, theme: str, width: int) -> RenderResult:
    """Highlighted code in lines of at most `width` cells."""
    text = highlighted(code, lexer, theme)
    for line in text.split("\n", allow_blank=True):
        line.expand_tabs(4)
        line.no_wrap = False
        line.overflow = "fold"
        yield line


def highlighted(code: str, lexer: str, theme: str) -> Text:
    """Code as styled text; plain where the language is unknown. Pygments brings the colours of the letters only: the ground
    is that of wherever the code stands."""
    if not lexer or theme == "bw":
        return Text(code)
    text = Syntax("", lexer, theme=theme).highlight(code)
    if not code.endswith("\n"):
        text.rstrip()
    if text.plain != code:
        return Text(code)
    return Text(code, spans=[Span(start, end, _letters(style)) for start, end, style in text.spans])


@lru_cache(maxsize=512)
def _letters(style: Style | str) -> Style:
    if isinstance(style, str):
        return Style.parse(style)
    return Style(color=style.color, bold=style.bold, italic=style.italic, underline=style.underline)


class _Piece(NamedTuple):
    """`lexer` None: Markdown. `first`: of a fence, nothing was shown yet."""

    text: str
    lexer: str | None = None
    first: bool = True


class StreamedMarkdown:
    """Text that grows at its end, as rows. `rows` is what stands now; its first `settled` rows will not change again."""

    def __init__(self, look: Look, width: int) -> None:
        self.rows: list[Row] = []
        self.settled = 0
        self._look = look
        self._width = max(8, width)
        self._taken = 0
        self._fence: str | None = None
        self._lexer = ""
        self._chunks = 0
        self._text = ""

    def update(self, text: str) -> None:
        """`text` is the whole of it; its beginning must be what was given before."""
        if text == self._text:
            return
        self._text = text
        del self.rows[self.settled :]
        pieces, rest = self._split(text[self._taken :])
        for piece in pieces:
            self._add(piece)
        self.settled = len(self.rows)
        if rest is not None:
            self._add(rest)

    def finish(self) -> None:
        """No more text will come."""
        self.settled = len(self.rows)

    def _split(self, text: str) -> tuple[list[_Piece], _Piece | None]:
        """What is complete by now, and the open rest."""
        pieces: list[_Piece] = []
        held: list[str] = []
        lines = text.split("\n")
        partial = lines.pop()
        for line in lines:
            if self._fence is not None:
                self._split_code(line, held, pieces)
            else:
                self._split_prose(line, held, pieces)
        return pieces, self._open_end([*held, partial])

    def _split_code(self, line: str, held: list[str], pieces: list[_Piece]) -> None:
        if self._closes(line):
            pieces.append(_Piece("\n".join(held), self._lexer, self._chunks == 0))
            self._take(held, line)
            self._fence = None
            return
        held.append(line)
        if len(held) == FENCE_CHUNK:
            pieces.append(_Piece("\n".join(held), self._lexer, self._chunks == 0))
            self._chunks += 1
            self._take(held)

    def _split_prose(self, line: str, held: list[str], pieces: list[_Piece]) -> None:
        in_list = bool(held) and _LIST.match(held[0]) is not None
        opened = None if in_list and line.startswith(" ") else _FENCE.match(line)
        if held and (opened or self._begins_anew(held, line)):
            pieces.append(_Piece("\n".join(held)))
            self._take(held)
        if opened:
            self._fence, self._lexer, self._chunks = opened[1], opened[2] or "text", 0
            self._take(held, line)
        else:
            held.append(line)

    @staticmethod
    def _begins_anew(held: list[str], line: str) -> bool:
        """After a blank line a new block begins, unless it goes on with the list that is open."""
        if held[-1].strip() or not line.strip() or line.startswith(("  ", "\t")):
            return False
        return not (_LIST.match(held[0]) and _LIST.match(line))

    def _open_end(self, lines: list[str]) -> _Piece | None:
        if self._fence is None:
            return _Piece("\n".join(lines))
        if self._closes(lines[-1]) or self._fence.startswith(lines[-1].strip() or " "):
            lines = lines[:-1]
        return _Piece("\n".join(lines), self._lexer, self._chunks == 0) if lines else None

    def _closes(self, line: str) -> bool:
        assert self._fence is not None
        return line.strip().startswith(self._fence) and not line.strip(" \r\t`~")

    def _take(self, held: list[str], *more: str) -> None:
        self._taken += sum(len(line) + 1 for line in (*held, *more))
        held.clear()

    def _add(self, piece: _Piece) -> None:
        text = safe_text(piece.text)
        if not text.strip():
            return
        if self.rows and piece.first:
            self.rows.append([])
        self.rows.extend(self._prose(text) if piece.lexer is None else self._code(text, piece.lexer))

    def _prose(self, text: str) -> list[Row]:
        look = self._look
        options = look.console.options.update(width=self._width - INDENT, height=None)
        markdown = SafeMarkdown(text.strip("\n"), look.code_theme)
        rows = look.console.render_lines(markdown, options, style=look["text"], pad=False)
        rows = [_trimmed(row) for row in rows]
        while rows and not rows[-1]:
            rows.pop()
        while rows and not rows[0]:
            rows.pop(0)
        return [[Segment(" " * INDENT), *row] if row else [] for row in rows]

    def _code(self, text: str, lexer: str) -> list[Row]:
        look = self._look
        options = look.console.options.update(width=self._width - INDENT - 2, height=None)
        shade = look["code_block"]
        code = highlighted(text, lexer, look.code_theme)
        code.expand_tabs(4)
        code.overflow = "fold"
        rows = look.console.render_lines(code, options, style=look["text"], pad=True)
        edge = Segment(" ", shade)
        return [
            [
                Segment(" " * INDENT),
                edge,
                *(Segment(part, (style or Style.null()) + shade) for part, style, _ in row),
                edge,
            ]
            for row in rows
        ]


def _trimmed(row: Row) -> Row:
    """The row without the blanks at its end, which Rich pads with and nobody wants to copy."""
    row = list(row)
    while row and not row[-1].text.strip():
        row.pop()
    if row:
        row[-1] = Segment(row[-1].text.rstrip(), row[-1].style)
    return row


def markdown_rows(text: str, look: Look, width: int) -> list[Row]:
    """All of a text at once."""
    stream = StreamedMarkdown(look, width)
    stream.update(text)
    stream.finish()
    return stream.rows
