"""What the user typed earlier, in all conversations: one JSON text a line."""

import json
import os
from collections.abc import Callable
from pathlib import Path

KEPT = 500


class PromptHistory:
    """`redact` takes secrets out of what is kept."""

    def __init__(self, file: Path, redact: Callable[[str], str]) -> None:
        self._file = file
        self._redact = redact

    def recall(self) -> tuple[str, ...]:
        """The last prompts, oldest first. A line that cannot be read is left out."""
        try:
            lines = self._file.read_bytes().split(b"\n")[-KEPT:]
        except OSError:
            return ()
        found: list[str] = []
        for line in lines:
            try:
                found.append(str(json.loads(line)))
            except ValueError:
                continue
        return tuple(found)

    def remember(self, text: str) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as stream:
            stream.write(json.dumps(self._redact(text)).encode() + b"\n")
