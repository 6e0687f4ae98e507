"""What `goose-py session` reads out of the logs."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import known_secrets
from goose_py.files import write_atomic
from goose_py.protocol.errors import UserError
from goose_py.protocol.redact import redactor
from goose_py.protocol.safe_text import safe_text
from goose_py.session.export import to_html, to_json, to_markdown
from goose_py.session.index import SessionIndex
from goose_py.session.log import read_log


def export_session(session_id: str, form: str, output: str | None) -> int:
    """Without what is known or looks to be a secret. A file is written whole or not at all, readable by its owner only."""
    host = Host.here()
    folder = host.task(session_id)
    contents = read_log(folder.path)
    redact: Callable[[str], str] = redactor(known_secrets(host))
    for warning in contents.warnings():
        print(f"! {safe_text(warning)}", file=sys.stderr)
    match form:
        case "json":
            text = to_json(contents.records, redact).decode()
        case "html":
            text = to_html(contents.records, redact)
        case _:
            text = to_markdown(contents.records, redact)
    if output is None:
        sys.stdout.write(safe_text(text) if form == "markdown" else text)
        return 0
    target = Path(output).expanduser()
    target = target if target.is_absolute() else host.cwd / target
    try:
        write_atomic(target.resolve(), text.encode())
    except OSError as error:
        raise UserError(f"Cannot write {target}: {error.strerror}.") from None
    print(f"Written to {target}.")
    return 0


def search_sessions(query: str, limit: int) -> int:
    """The index is made anew where it is missing or damaged; the logs are the truth."""
    host = Host.here()
    host.paths.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with SessionIndex(host.paths.cache / "sessions.db", host.tasks.root) as index:
        hits = index.search(query, limit)
    for hit in hits:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(hit.at))
        snippet = " ".join(safe_text(hit.snippet).split())
        print(f"{hit.session_id}  {day}  {hit.role}: {snippet}   ({safe_text(hit.title)})")
    if not hits:
        print("Nothing was found.")
    return 0 if hits else 1
