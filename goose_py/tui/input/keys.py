"""One key or report of a terminal as Textual's messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from textual import events, messages
from textual._xterm_parser import XTermParser
from textual.keys import Keys
from textual.message import Message

_MOUSE = re.compile(r"\x1b\[<\d{1,9};-?\d{1,9};-?\d{1,9}[Mm]")
_CURSOR = re.compile(r"\x1b\[(\d{1,9});(\d{1,9})R")
_SYNCHRONIZED = re.compile(r"\x1b\[\?2026;[1-4]\$y")
_NUMBER = re.compile(r"\d+")
_SURROGATES = range(0xD800, 0xE000)


class KeyReader(XTermParser):
    """Knows every key that Textual's own parser knows. What neither of them knows is no key; Textual would take it for the
    letters it is written with."""

    def read(self, sequence: str) -> Iterator[Message]:
        if sequence == "\x1b[I":
            yield events.AppFocus()
        elif sequence == "\x1b[O":
            yield events.AppBlur()
        elif _SYNCHRONIZED.fullmatch(sequence):
            yield messages.TerminalSupportsSynchronizedOutput()
        elif place := _CURSOR.fullmatch(sequence):
            yield events.CursorPosition(int(place[2]) - 1, int(place[1]) - 1)
        elif _MOUSE.fullmatch(sequence):
            mouse = self.parse_mouse_code(sequence)
            if mouse is not None:
                yield mouse
        else:
            yield from (key for key in self._keys(sequence) if key.key != Keys.Ignore)

    def _keys(self, sequence: str) -> list[events.Key]:
        if sequence == "\x1b":
            return [events.Key("escape", sequence)]
        if sequence.startswith("\x1b[") and not all(map(_is_character, _NUMBER.findall(sequence))):
            return []
        found = list(self._sequence_to_key_events(sequence))
        if not found and len(sequence) == 2:
            found = [_with_alt(key) for key in self._sequence_to_key_events(sequence[1], alt=True)]
        return found


def _with_alt(key: events.Key) -> events.Key:
    """Textual forgets it of keys that have a name, so that Alt+Enter would send."""
    return key if "alt+" in key.key else events.Key(f"alt+{key.key}", None)


def _is_character(number: str) -> bool:
    """A key in the kitty protocol is the number of its character."""
    return len(number) < 8 and int(number) <= 0x10FFFF and int(number) not in _SURROGATES
