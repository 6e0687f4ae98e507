"""Full-text search over all sessions: an SQLite FTS5 table that is derived from the logs and is never the truth.

It is brought up to date before each search: logs that have changed are read again. A missing, damaged or outdated file is made
anew. Many processes may use it at once (WAL); one that cannot write it now searches what is there.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Text
from goose_py.session.export import title_of
from goose_py.session.log import LOG_NAME, read_log

SCHEMA_VERSION = 1
MAX_TEXT = 64 * 1024
BUSY_SECONDS = 5.0

_NOT_NOW = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})

_SCHEMA = """
CREATE TABLE logs (session_id TEXT PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL, title TEXT NOT NULL,
                   first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE VIRTUAL TABLE said USING fts5(text, role UNINDEXED, session_id UNINDEXED, seq UNINDEXED, at UNINDEXED,
                                     tokenize = "unicode61 remove_diacritics 2");
"""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """Where something was said. `role` is user, assistant, tool, plan or title; `snippet` marks what was found with « and »."""

    session_id: str
    title: str
    seq: int
    at: float
    role: str
    snippet: str


class _Said(NamedTuple):
    text: str
    role: str
    seq: int
    at: float


class SessionIndex:
    """`root` holds one folder a session, `path` is the database file. Close it, or use it with `with`."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._root = root
        self._db = self._open()

    def __enter__(self) -> "SessionIndex":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def search(self, query: str, limit: int = 20) -> list[Hit]:
        """The best first. All words must occur, the last one may be a beginning; "words in quotes" stand together. Raises
        UserError for a query without a word."""
        match = _match(query)
        try:
            self._update_if_possible()
            return self._found(match, limit)
        except sqlite3.DatabaseError:
            self._db.close()
            self._db = self._made_anew()
            self.update()
            return self._found(match, limit)

    def _update_if_possible(self) -> None:
        try:
            self.update()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _NOT_NOW:
                raise

    def update(self) -> None:
        """Takes in what was written since, and forgets sessions whose logs are gone."""
        now = dict(self._logs())
        known = {row[0]: row[1:] for row in self._db.execute("SELECT session_id, size, changed FROM logs")}
        for session_id in known.keys() - now.keys():
            self._forget(session_id)
        for session_id, state in now.items():
            if known.get(session_id) != state:
                self._take_in(session_id, state)

    def _logs(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            with suppress(OSError):
                status = (folder / LOG_NAME).stat()
                yield folder.name, (status.st_size, status.st_mtime_ns)

    def _take_in(self, session_id: str, state: tuple[int, int]) -> None:
        title, rows = _read(self._root / session_id)
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._delete(session_id)
            first = self._db.execute("SELECT coalesce(max(rowid), 0) + 1 FROM said").fetchone()[0]
            place = (session_id, *state, title, first, first + len(rows) - 1)
            self._db.execute("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?)", place)
            self._db.executemany(
                "INSERT INTO said (rowid, text, role, session_id, seq, at) VALUES (?, ?, ?, ?, ?, ?)",
                [(first + n, row.text[:MAX_TEXT], row.role, session_id, row.seq, row.at) for n, row in enumerate(rows)],
            )

    def _forget(self, session_id: str) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._delete(session_id)

    def _delete(self, session_id: str) -> None:
        """By the range of its rows, because the text table has no other key."""
        row = self._db.execute("SELECT first, last FROM logs WHERE session_id = ?", (session_id,)).fetchone()
        if row is not None:
            self._db.execute("DELETE FROM said WHERE rowid BETWEEN ? AND ?", row)
            self._db.execute("DELETE FROM logs WHERE session_id = ?", (session_id,))

    def _found(self, match: str, limit: int) -> list[Hit]:
        rows = self._db.execute(
            "SELECT said.session_id, logs.title, seq, at, role, snippet(said, 0, '«', '»', '…', 16) "
            "FROM said JOIN logs USING (session_id) WHERE said MATCH ? ORDER BY rank, at DESC LIMIT ?",
            (match, limit),
        )
        return [
            Hit(session_id=session_id, title=title, seq=seq, at=at, role=role, snippet=" ".join(snippet.split()))
            for session_id, title, seq, at, role, snippet in rows
        ]

    def _open(self) -> sqlite3.Connection:
        db = self._connected(self._file())
        try:
            _make_tables(db)
            return db
        except sqlite3.DatabaseError as error:
            db.close()
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in _NOT_NOW:
                db = self._connected(":memory:")
                _make_tables(db)
                return db
        return self._made_anew()

    def _made_anew(self) -> sqlite3.Connection:
        for path in (self._path, *self._path.parent.glob(f"{self._path.name}-*")):
            with suppress(OSError):
                path.unlink()
        db = self._connected(self._file())
        _make_tables(db)
        return db

    def _connected(self, file: str) -> sqlite3.Connection:
        db = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.DatabaseError:  # not a database: found out, and made anew, by whoever opened it
            pass
        return db

    def _file(self) -> str:
        """Where nothing can be written, the index lives as long as this process."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
        except OSError:
            return ":memory:"
        return str(self._path)


def _make_tables(db: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged or another version's. Two programs may do this at once."""
    if _version(db) == SCHEMA_VERSION:
        return
    with db:
        db.execute("BEGIN IMMEDIATE")
        version = _version(db)
        if version == SCHEMA_VERSION:
            return
        if version != 0:
            raise sqlite3.DatabaseError(f"the index is of version {version}")
        for statement in _SCHEMA.split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def _read(folder: Path) -> tuple[str, list[_Said]]:
    """The title of a session and what was said in it; what a fork has of its parent is found there."""
    try:
        contents = read_log(folder)
    except UserError:
        return "", []
    title = title_of(contents.records)
    named = [_Said(title, "title", 0, contents.records[0].at)] if title else []
    own = (record for record in contents.records if record.seq > contents.header.parent_seq)
    return title, [*named, *said(own)]


def said(records: Iterable[ev.Record]) -> Iterator[_Said]:
    """What can be found of a session."""
    for record in records:
        match record.event:
            case ev.PromptReceived(parts=parts):
                text, role = "\n".join(part.text for part in parts if isinstance(part, Text)), "user"
            case ev.ModelReplied(message=message):
                text, role = message.text(), "assistant"
            case ev.ToolFinished(result=result):
                text, role = result.text(), "tool"
            case ev.PlanProposed(plan=plan):
                text, role = "\n".join((plan.note, *(step.title for step in plan.steps))), "plan"
            case _:
                continue
        if text.strip():
            yield _Said(text, role, record.seq, record.at)


def _match(query: str) -> str:
    """The query in FTS5's own language, in which every character of the user's stands for itself."""
    pieces = query.replace("\0", " ").split('"')
    terms: list[str] = []
    for number, piece in enumerate(pieces):
        terms += [piece] if number % 2 else piece.split()
    words = [term for term in terms if any(character.isalnum() for character in term)]
    if not words:
        raise UserError("Say what to search for: at least one word.")
    quoted = [f'"{word}"' for word in words]
    if not query.rstrip().endswith('"'):
        quoted[-1] += "*"
    return " ".join(quoted)
