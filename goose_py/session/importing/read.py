"""From a file to events, whichever program wrote it."""

import json
from pathlib import Path
from typing import Any

from goose_py.protocol.errors import UserError
from goose_py.session.importing import claude_code, codex, goose
from goose_py.session.importing.transcript import Imported

LARGEST = 512 * 1024 * 1024
_SQLITE = b"SQLite format 3\0"
_FIRST_LINES = 200


def read_session(path: Path, session: str | None = None) -> Imported:
    """The session in a file. Which program wrote it is told by what is in it. `session` says which one of a database. Raises
    UserError in one sentence: a file that cannot be read, that no known program wrote, or in which nothing was said."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is larger than {LARGEST // 2**20} MB: that is no session.")
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if raw.startswith(_SQLITE):
        return goose.convert_database(path, session)
    if session is not None:
        raise UserError(f"--session is for a database of sessions; {path} holds only one.")
    lines = _sample(raw)
    for program in (claude_code, codex, goose):
        if program.looks_like(lines):
            return program.convert(raw)
    raise UserError(
        f"{path} is no session of a program that is known here (Claude Code's and Codex's .jsonl files, Goose's exports and "
        "its sessions.db)."
    )


def _sample(raw: bytes) -> list[dict[str, Any]]:
    """The document where the file is one, else its first lines."""
    try:
        values = [json.loads(raw)]
    except (ValueError, RecursionError):
        values = []
        for line in raw.split(b"\n", _FIRST_LINES)[:_FIRST_LINES]:
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                continue
    return [value for value in values if isinstance(value, dict)]
