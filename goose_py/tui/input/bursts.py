"""Bytes of a terminal as keys and pastes. Pure: no descriptor, no clock, nothing of Textual.

Two things tell a paste from typing: the brackets that a terminal puts around it, and, where it puts none, that a person cannot
press several keys at once. So a *burst*, what is there to be read at one time, is looked at as a whole:

- One key is a key. What a terminal reports by itself (mouse, focus, answers to questions) does not count.
- Text with a line end or a tab in it is a paste, and so are three letters or more, whatever else comes with them.
- One line with one Enter at its end, and silence after it, is a line that a program wrote as a person would type it (tmux
  send-keys, expect): it is `Entered`.
- Of what is left, an Enter or a Tab that did not come alone is dropped: nothing is sent by a key that may be part of a paste.
  (Of escape sequences alone, as in the kitty protocol, where no key is a plain character, a burst was typed.)

A bracketed paste goes on to its end marker, or to a Ctrl+C or Escape with silence around it; no escape sequence ends it. An
end marker in the clipboard itself (good terminals take it out) looks like the real one. But what a terminal writes of one
paste follows without a pause, while nobody's next key comes within a tenth of a second: so all that arrives before there was
`QUIET` belongs to the paste and is text, after an end marker as well. The last end marker is taken for the real one and left
out.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

START, END = "\x1b[200~", "\x1b[201~"
QUIET = 0.1
"""Seconds of silence after which a paste is over."""
STALLED = 1.0
"""Seconds of silence after which what came of a paste without an end is shown."""
ESCAPE = 0.025
"""Seconds in which the rest of an escape sequence follows its first character."""
LETTERS = 3
"""So many at once are pasted: two can be typed while a busy machine looks away."""
BLOCK = 1000
"""Characters of one read from which on it may be the first part of a longer one."""

_TOKEN = re.compile(
    r"""
      \x1b\[M[\s\S]{3}                            # mouse, X10
    | \x1b\[\[[A-E]                               # function keys of the Linux console
    | \x1b\[[0-?]*[ -/]*[@-~]                     # CSI
    | \x1bO[ -~]                                  # SS3
    | \x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)     # OSC, DCS, APC, PM, SOS
    | \x1b[^\x1b]                                 # Alt and a key
    | [\s\S]
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(r"\x1b(?:\[(?:M[\s\S]{0,2}|\[|[0-?]*[ -/]*)|O|[\]P_^X][^\x07\x1b]{0,4096}\x1b?)?\Z")
_MOUSE = re.compile(r"\x1b\[(?:<[-\d;]+[Mm]|M[\s\S]{3}|[\d;]+M)")
_REPORT = re.compile(
    rf"{_MOUSE.pattern}|\x1b\[(?:[IO]|\?[\d;]*(?:\$y|[cu])|>[\d;]*c|\d+;\d+R|[\d;:]+t)"
    r"|\x1b(?:P[01>!]|\](?:4|1[0-9]|52);)[^\x07\x1b]*(?:\x07|\x1b\\)"
)


@dataclass(frozen=True)
class Pasted:
    """Text as it came: line ends and control characters are still those of the clipboard."""

    text: str


@dataclass(frozen=True)
class Entered:
    """One line that came at once, unbracketed, with an Enter that ended it."""

    text: str


@dataclass(frozen=True)
class Pressed:
    """The characters or the escape sequence of one key, or one report of the terminal. `alone`: nothing else was pressed with
    it, so that it may send something."""

    sequence: str
    alone: bool = True


class Bursts:
    """`feed` what was read at one time; tell by `silence` that nothing came for so many seconds. Both return what is known by
    then, in order. `patience` is the silence that means something next, None where none does."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._unfinished = ""
        self._paste: list[str] | None = None
        self._tail = ""
        self._open = False
        """Within brackets: no end marker came yet."""
        self._line = ""
        """The whole of a burst that is one line with its end, while nothing has followed it."""
        self._stalled = self._paused = self._escaping = False
        """Within brackets: what came late was shown; nothing came for `QUIET`; all that came since is Escape."""

    @property
    def patience(self) -> float | None:
        if self._unfinished:
            return ESCAPE
        if self._paste is None:
            return None
        if not (self._open and self._paused):
            return QUIET
        return STALLED if self._paste else None

    def feed(self, data: bytes) -> list[Pasted | Entered | Pressed]:
        text = self._unfinished + self._decode(data)
        self._unfinished = ""
        if self._paste is not None:
            return self._go_on(text)
        before, start, pasted = text.partition(START)
        if start:
            found = self._burst(before, alone=False)
            return found + self._go_on(start + pasted)
        unfinished = _UNFINISHED.search(text)
        found = self._burst(text[: unfinished.start()] if unfinished else text, alone=not unfinished)
        if unfinished is None:
            return found
        if self._paste is not None:
            self._paste.append(unfinished[0])
        elif found and isinstance(found[0], Pasted):
            found[0] = Pasted(found[0].text + unfinished[0])
        else:
            self._unfinished = unfinished[0]
        return found

    def silence(self, seconds: float) -> list[Pasted | Entered | Pressed]:
        if self._unfinished and seconds >= ESCAPE:
            late, self._unfinished = self._unfinished, ""
            if late[:2] in ("\x1b[", "\x1bO") and len(late) > 2:
                return []
            return [Pressed(late[:2], alone=len(late) <= 2), *self._burst(late[2:], alone=False)]
        if self._paste is None or seconds < (self.patience or float("inf")):
            return []
        if self._escaping:
            self._paste.pop()
            self._open = False
        text = "".join(self._paste)
        if self._open:
            self._paused = True
            if not self._stalled and seconds < STALLED:
                return []
            self._paste, self._stalled = [], True
        else:
            self._paste = None
            if self._line and text == self._line:
                return [Entered(text[:-1])]
            before, _, after = text.rpartition(END)
            text = before + after
        return [Pasted(text)] if text else []

    def _go_on(self, text: str) -> list[Pasted | Entered | Pressed]:
        """More of a paste, or what follows it without a pause."""
        if self._paste is None:
            self._paste, self._tail, self._open, self._line = [], "", False, ""
            self._stalled = self._paused = False
        paused, self._paused = self._paused, False
        if paused and text == "\x03":
            self._open = False
            return []
        self._escaping = paused and text == "\x1b"
        found: list[Pasted | Entered | Pressed] = []
        while text:
            if self._open:
                before, ended, after = _split(self._tail + text, END)
                self._paste.append((before + END if ended else before)[len(self._tail) :])
                self._tail = "" if ended else before[1 - len(END) :]
                self._open, text = not ended, after
            else:
                before, self._open, text = _split(text, START)
                found += self._append_text(before)
        return found

    def _append_text(self, text: str) -> list[Pasted | Entered | Pressed]:
        """Clicks are left out, as they may be written in the text too."""
        assert self._paste is not None
        self._paste.append(_REPORT.sub("", text))
        return [Pressed(report) for report in _REPORT.findall(text) if not _MOUSE.match(report)]

    def _burst(self, text: str, *, alone: bool = True) -> list[Pasted | Entered | Pressed]:
        tokens = _TOKEN.findall(text)
        keys = [token for token in tokens if not _REPORT.fullmatch(token)]
        if alone and (len(keys) <= 1 or all(key.startswith("\x1b[") for key in keys)):
            return [Pressed(token) for token in tokens]
        letters = sum(len(key) == 1 and key.isprintable() for key in keys)
        if letters >= BLOCK or (letters and any(key in "\r\n\t" for key in keys)):
            found = self._go_on(text)
            if letters == len(keys) - 1 < BLOCK and keys[-1] == "\r":
                self._line = text
            return found
        if letters >= LETTERS:
            return [Pasted("".join(keys)), *(Pressed(token) for token in tokens if token not in keys)]
        return [Pressed(token, alone=False) for token in tokens]


def _split(text: str, marker: str) -> tuple[str, bool, str]:
    before, found, after = text.partition(marker)
    return before, bool(found), after
