"""Textual's drivers with our own reading of the keyboard."""

from __future__ import annotations

import os
import select
from threading import Event

from textual import events
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.drivers.linux_inline_driver import LinuxInlineDriver

from goose_py.tui.input.bursts import Bursts, Entered, Pasted, Pressed
from goose_py.tui.input.entered_line import EnteredLine
from goose_py.tui.input.keys import KeyReader

LOOK_UP = 0.1
"""Seconds after which it is looked whether the driver was stopped."""


class _OwnInput(Driver):
    """Replaces the thread that reads. Textual's own reads a paste as keys where it holds escape sequences (8.2), and ends with
    the program at the first byte that is no UTF-8."""

    fileno: int
    exit_event: Event

    def run_input_thread(self) -> None:
        bursts, keys = Bursts(), KeyReader()
        silent = 0.0
        while not self.exit_event.is_set():
            patience = bursts.patience
            wait = LOOK_UP if patience is None else min(LOOK_UP, max(0.0, patience - silent))
            if select.select([self.fileno], [], [], wait)[0]:
                silent = 0.0
                try:
                    data = os.read(self.fileno, 65536)
                except OSError:
                    data = b""
                if not data:
                    return  # the terminal is gone; the hangup ends the program
                found = bursts.feed(data)
            else:
                silent += wait
                found = bursts.silence(silent)
            self._pass_on(found, keys)
        self._pass_on(bursts.silence(float("inf")), keys)

    def _pass_on(self, found: list[Pasted | Entered | Pressed], keys: KeyReader) -> None:
        for each in found:
            if isinstance(each, Pasted):
                self.process_message(events.Paste(each.text))
                continue
            if isinstance(each, Entered):
                self.process_message(EnteredLine(each.text))
                continue
            for message in keys.read(each.sequence):
                if isinstance(message, events.CursorPosition):
                    if self.is_inline:
                        self.cursor_origin = (message.x, message.y)
                elif each.alone or not isinstance(message, events.Key) or message.key not in ("enter", "tab"):
                    self.process_message(message)


class ScreenDriver(_OwnInput, LinuxDriver):
    """On a screen of its own."""


class InlineDriver(_OwnInput, LinuxInlineDriver):
    """Below the prompt of the shell."""
