"""What is kept of a bug: its traceback, without secrets, in a file that only its owner can read."""

import os
import sys
import tempfile
import traceback

from goose_py import __version__
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import known_secrets
from goose_py.protocol.errors import GooseError
from goose_py.protocol.redact import redact


def write_report(bug: BaseException) -> str:
    """The path of the report, or why there is none. Never raises."""
    try:
        host = Host.here()
        folder = host.paths.state / "crashes"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = "".join(traceback.format_exception(bug))
        header = f"goose-py {__version__}, Python {sys.version.split()[0]}, {sys.platform}\n\n"
        fd, path = tempfile.mkstemp(prefix="crash-", suffix=".txt", dir=folder)
        with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(redact(header + text, known_secrets(host)))
        return path
    except (OSError, GooseError) as error:
        return f"no file, since it could not be written ({error}): {type(bug).__name__}: {bug}"
