"""`goose-py session import`: a session of another program as a task that can be read, searched, exported and gone on with."""

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from goose_py import __version__
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import known_secrets
from goose_py.bootstrap.workspace.base import CHANGES, repository_of
from goose_py.protocol import events as ev
from goose_py.protocol.messages import ModelRef, Text
from goose_py.protocol.redact import redactor
from goose_py.protocol.safe_text import safe_line
from goose_py.session.importing.read import read_session
from goose_py.session.importing.transcript import Imported
from goose_py.session.log import Log
from goose_py.session.redaction import redacted
from goose_py.tasks.spec import TaskSpec, write_spec
from goose_py.tasks.store import TaskFolder


def import_session(file: str, session: str | None, base: str | None) -> int:
    """Prints the new task's id, and on standard error what was carried over and what was not."""
    host = Host.here()
    path = Path(file).expanduser()
    imported = read_session(path if path.is_absolute() else host.cwd / path, session)
    asyncio.run(repository_of(host, host.cwd))
    folder = _write(host, imported, base or CHANGES, redactor(known_secrets(host)))
    print(folder.task_id)
    calls = sum(isinstance(event, ev.ToolStarted) for _, event in imported.events)
    where = f", worked in {imported.folder}" if imported.folder else ""
    print(safe_line(f"A session of {imported.program}: {imported.prompts} prompts, {calls} calls{where}."), file=sys.stderr)
    for sentence in imported.report:
        print(safe_line(f"not carried over: {sentence}"), file=sys.stderr)
    task_id = folder.task_id
    print(f"`goose-py session show {task_id}` reads it, `goose-py run --resume {task_id} -t TEXT` goes on.", file=sys.stderr)
    return 0


def _write(host: Host, imported: Imported, base: str, redact: Callable[[str], str]) -> TaskFolder:
    """Whole or not at all. The task begins, with a worktree of its own, when it is first opened."""
    folder = host.tasks.new(host.now)
    title = redact(imported.title or _first_words(imported))
    times = iter([at or host.now() for at, _ in imported.events])
    clock = [imported.events[0][0] or host.now()]
    try:
        write_spec(folder.path, TaskSpec(task_id=folder.task_id, folder=str(host.cwd), title=title, base=base))
        log = Log.create(folder.path, folder.task_id, lambda: clock[0])
        try:
            log.append(
                ev.SessionStarted(
                    session_id=f"{imported.program}:{imported.session_id}",
                    title=title,
                    workspace=imported.folder or str(host.cwd),
                    model=_model(imported),
                    program=__version__,
                )
            )
            for _, event in imported.events:
                clock[0] = next(times)
                log.append(redacted(event, redact))
            clock[0] = host.now()
            log.append(ev.ContextAdded(source="import", text=_opening_words(imported)))
        finally:
            log.close()
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return folder


def _first_words(imported: Imported) -> str:
    for _, event in imported.events:
        if isinstance(event, ev.PromptReceived):
            return " ".join(" ".join(part.text for part in event.parts if isinstance(part, Text)).split())[:80]
    return f"A session of {imported.program}"


def _model(imported: Imported) -> ModelRef:
    replies = (event.message.origin for _, event in imported.events if isinstance(event, ev.ModelReplied))
    return next(replies, ModelRef(provider=imported.program, model="unknown"))


def _opening_words(imported: Imported) -> str:
    where = f" in {imported.folder}" if imported.folder else ""
    return (
        f"Everything above was said and done with another program, {imported.program}{where}. Its tools had other names "
        "and took other arguments: use those you are offered now. Files may have changed since: look at them first."
    )
