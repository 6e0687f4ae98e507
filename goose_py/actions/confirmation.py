"""The question before something that cannot be done by mistake."""

import sys

from goose_py.bootstrap.host import Host
from goose_py.protocol.errors import UserError


def confirmed(host: Host, question: str, *, unattended: str = "") -> bool:
    """Nobody to ask is a no, and an error that says what a script has to say instead: `unattended`, by default --yes."""
    if not host.stdin_is_terminal:
        raise UserError(unattended or f"{question} There is nobody to ask here: say --yes.")
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
