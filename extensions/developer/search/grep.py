"""The `grep` tool: lines of text files that match a regular expression."""

import asyncio
import json
import re
import sys
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from ..display import plural, printable
from ..editing.encoding import is_binary
from ..files import read_file, read_head
from ..refusal import Refused
from ..workspace import Workspace
from .ripgrep import Failed, Ripgrep

MAX_COUNTED = 10_000
_MAX_SHOWN = 200
_MAX_CHARS = 20_000
_MAX_LINE = 300
_MAX_CONTEXT = 20
MAX_FILE_BYTES = 64_000_000
_MAX_BATCH_FILES = 2000
_MAX_BATCH_CHARS = 100_000
_MAX_EXCHANGE = 4_000_000
_PATIENCE = 5.0  # seconds for one exchange
_SNIFFED = 8192
_LINE_BREAK = re.compile(r"(?<!\\)(?:\\\\)*\\n")
_NUMBERED = re.compile(rb"(\d+)([:-])(.*)", re.DOTALL)
_WORKER = Path(__file__).with_name("match_worker.py")


@dataclass(frozen=True)
class Query:
    pattern: str
    ignore_case: bool = False
    context: int = 0
    files_only: bool = False

    def check(self) -> None:
        """Raises Refused for what cannot be looked for."""
        if not self.pattern:
            raise Refused("The pattern is empty.")
        if "\n" in self.pattern or "\0" in self.pattern or _LINE_BREAK.search(self.pattern):
            raise Refused(
                "The pattern has a line break, but lines are matched one by one; look for a part of one line."
            )
        if not 0 <= self.context <= _MAX_CONTEXT:
            raise Refused(f"context is a number of lines from 0 to {_MAX_CONTEXT}; {self.context} is none.")


@dataclass(frozen=True)
class Hit:
    """A line of a file, from 1; `matches` is False for the context around a match."""

    line: int
    matches: bool
    text: str


FileHits = tuple[str, list[Hit]]


async def grep(workspace: Workspace, ripgrep: Ripgrep | None, files: Sequence[str], query: Query) -> str:
    """The matching lines by file, in the order of `files`, within bounds and with a count of what is beyond them.

    ripgrep searches where it is given and can read the pattern; Python's `re` does otherwise. Binary files are left
    out, by the same rule for both. None of the files has more than MAX_FILE_BYTES. Raises Refused.
    """
    query.check()
    report = _Report(query)
    try:
        if ripgrep is not None:
            await _collect(_by_ripgrep(workspace, ripgrep, files, query), report)
            return report.text(len(files))
    except Failed:
        report = _Report(
            query
        )  # a pattern of Python's dialect (look-around, a lone brace), or no ripgrep in the sandbox
    await _collect(_by_python(workspace, files, query), report)
    return report.text(len(files))


async def _collect(found: AsyncGenerator[FileHits, None], report: "_Report") -> None:
    async with aclosing(found) as hits:
        async for path, lines in hits:
            report.add(path, lines)
            if report.matches >= MAX_COUNTED:
                return


@dataclass
class _Report:
    query: Query
    matches: int = 0
    files: int = 0
    shown: int = 0
    chars: int = 0
    lines: list[str] = field(default_factory=list)

    def add(self, path: str, hits: list[Hit]) -> None:
        count = sum(hit.matches for hit in hits)
        if not count:
            return
        self.files += 1
        self.matches += count
        if self.query.files_only:
            self._show(f"{printable(path)}: {count}", 1)
            return
        if self._full:
            return
        self._show(printable(path), 0)
        previous = hits[0].line - 1
        for hit in hits:
            if self._full:
                return
            if hit.line != previous + 1 and self.query.context:
                self._show("--", 0)
            previous = hit.line
            text = hit.text if len(hit.text) <= _MAX_LINE else hit.text[:_MAX_LINE] + " [… line cut]"
            self._show(f"{hit.line}{':' if hit.matches else '-'}{text}", hit.matches)

    @property
    def _full(self) -> bool:
        return self.shown >= _MAX_SHOWN or self.chars >= _MAX_CHARS

    def _show(self, line: str, matches: int) -> None:
        if not self._full:
            self.lines.append(line)
            self.chars += len(line) + 1
            self.shown += matches

    def text(self, searched: int) -> str:
        if not self.matches:
            return f"No matches for {self.query.pattern!r} in {plural(searched, 'file')}."
        over = "more than " if self.matches >= MAX_COUNTED else ""
        total = f"{over}{plural(min(self.matches, MAX_COUNTED), 'match')} in {plural(self.files, 'file')}"
        if not self._cut:
            return "\n".join([*self.lines, f"[{total}]"])
        kind = "files" if self.query.files_only else "matches"
        return "\n".join(
            [*self.lines, f"[the first {self.shown} {kind} of {total}; narrow it with path, glob or pattern]"]
        )

    @property
    def _cut(self) -> bool:
        return self.shown < (self.files if self.query.files_only else self.matches)


def _batches(files: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    chars = 0
    for name in files:
        if batch and (len(batch) >= _MAX_BATCH_FILES or chars + len(name) > _MAX_BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(name)
        chars += len(name.encode("utf-8", "surrogateescape")) + 3
    if batch:
        yield batch


async def _by_ripgrep(
    workspace: Workspace, ripgrep: Ripgrep, files: Sequence[str], query: Query
) -> AsyncGenerator[FileHits, None]:
    # --text: what is binary is decided below, by the same rule for both engines.
    arguments = (
        "--null --line-number --no-heading --with-filename --text --crlf --no-messages --max-columns 4000 "
        f"--max-columns-preview --context {query.context}"
    ).split()
    arguments += ["--ignore-case"] if query.ignore_case else []
    for batch in _batches(files):
        names = [workspace.below_root(path) for path in batch]
        by_file = await _searched(ripgrep, [*arguments, "--regexp", query.pattern], names)
        for path, name in zip(batch, names, strict=True):
            if (hits := by_file.get(name)) and not await anyio.to_thread.run_sync(_left_out, workspace, path):
                yield path, hits


async def _searched(ripgrep: Ripgrep, arguments: list[str], batch: list[str]) -> dict[str, list[Hit]]:
    by_file: dict[str, list[Hit]] = {}
    rest = b""
    async with aclosing(ripgrep.search(arguments, batch)) as output:
        async for piece in output:
            rest = _take_records(rest + piece, by_file)
    return by_file


def _take_records(output: bytes, by_file: dict[str, list[Hit]]) -> bytes:
    """Takes each `./PATH NUL NUMBER:TEXT newline` (`NUMBER-TEXT` for context), and gives what is left of the last one.

    The path may have newlines in it; a line `--` may stand between two groups.
    """
    at = 0
    while (nul := output.find(b"\0", at)) >= 0 and (end := output.find(b"\n", nul)) >= 0:
        path = output[at:nul].removeprefix(b"--\n").removeprefix(b"./").decode("utf-8", "surrogateescape")
        found = _NUMBERED.match(output, nul + 1, end)
        assert found is not None, output[at:end]
        text = found[3].removesuffix(b"\r").decode("utf-8", "replace")
        by_file.setdefault(path, []).append(Hit(int(found[1]), found[2] == b":", text))
        at = end + 1
    return output[at:]


def _left_out(workspace: Workspace, path: str) -> bool:
    try:
        return is_binary(read_head(workspace, path, _SNIFFED))
    except Refused:
        return True


async def _by_python(workspace: Workspace, files: Sequence[str], query: Query) -> AsyncGenerator[FileHits, None]:
    # -I -S: nothing of the folder it runs in, of the user or of site-packages has a say.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(_WORKER), stdin=-1, stdout=-1, stderr=asyncio.subprocess.DEVNULL, limit=1 << 30
    )
    try:
        request = {"pattern": query.pattern, "ignore_case": query.ignore_case, "context": query.context}
        (wrong,) = await _asked(process, json.dumps(request).encode() + b"\n", 1)
        if wrong is not None:
            raise Refused(
                f"The pattern {query.pattern!r} cannot be read: {wrong}. Escape what is meant literally with \\."
            )
        left = deque(files)
        while left:
            texts = await anyio.to_thread.run_sync(_next_texts, workspace, left)
            message = b"".join(b"%d\n%b" % (len(data), data) for _, data in texts)
            for (path, _), found in zip(texts, await _asked(process, message, len(texts)), strict=True):
                if found:
                    yield path, [Hit(*hit) for hit in found]
    except TimeoutError:
        raise Refused(f"Matching {query.pattern!r} takes too long; write a simpler pattern.") from None
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()


def _next_texts(workspace: Workspace, left: deque[str]) -> list[tuple[str, bytes]]:
    """The next files that are text, up to a few megabytes of them, taken off the left of the queue."""
    texts: list[tuple[str, bytes]] = []
    room = _MAX_EXCHANGE
    while left and room > 0 and len(texts) < _MAX_BATCH_FILES:
        path = left.popleft()
        try:
            data = read_file(workspace, path, MAX_FILE_BYTES).data
        except Refused:
            continue  # it vanished, or may not be read
        if not is_binary(data[:_SNIFFED]):
            texts.append((path, data))
            room -= len(data)
    return texts


async def _asked(process: asyncio.subprocess.Process, message: bytes, answers: int) -> list[Any]:
    """Sends to the worker and awaits its lines. Raises TimeoutError when they do not come in time."""
    sink, source = process.stdin, process.stdout
    assert sink is not None and source is not None

    async def exchange() -> list[bytes]:
        sink.write(message)
        await sink.drain()
        return [await source.readline() for _ in range(answers)]

    try:
        return [json.loads(line) for line in await asyncio.wait_for(exchange(), _PATIENCE)]
    except (ValueError, ConnectionError) as error:
        raise Refused("The search ended unexpectedly; try a simpler pattern.") from error
