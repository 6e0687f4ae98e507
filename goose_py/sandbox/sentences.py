"""What the sandbox lets commands do, in words: made of the policy in force, so that what is said is what holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from goose_py.sandbox.detection import FoundSandbox
from goose_py.sandbox.policy import Grants, Level

NAMED: Final = 8
"""Of more the rest is only counted."""
_PROCESSES: Final = "they see other processes and can change the workspace's .git"


def described(found: FoundSandbox, grants: Grants, home: Path, variables: Sequence[str] = ()) -> str:
    """For the model and for people: writes, reads, network and variables. Where there is no sandbox, why."""
    if found.level is Level.NONE:
        return f"{found.sentence}{_variables(variables)}"
    can = [_writes(grants, home), _reads(found, grants, home), _network(found, grants)]
    weaker = f"; {_PROCESSES}" if found.backend == "landlock" else ""
    return f"{found.sentence} Commands {can[0]}, {can[1]}, and {can[2]}{weaker}.{_shared(grants)}{_variables(variables)}"


def _writes(grants: Grants, home: Path) -> str:
    if grants.read_only:
        return "can change nothing of the task's workspace"
    more = f" and {_listed(grants.writable, home)}" if grants.writable else ""
    return f"can change only the task's workspace{more}"


def _reads(found: FoundSandbox, grants: Grants, home: Path) -> str:
    verb = "see" if found.backend == "bubblewrap" else "read"
    if not grants.readable:
        return f"{verb} no other files but the system's"
    return f"{verb} no other files but the system's and those in {_listed(grants.readable, home)}"


def _network(found: FoundSandbox, grants: Grants) -> str:
    if grants.network:
        return "have the network"
    if grants.hosts:
        return f"reach of the network only {', '.join(grants.hosts)}"
    return "have no network" + (", not even loopback" if found.backend == "landlock" else "")


def _shared(grants: Grants) -> str:
    if not grants.shared:
        return ""
    names = _listed([share.path for share in grants.shared], Path("/"))
    own = all(share.upper is not None for share in grants.shared)
    kept = "what changes there stays in the task" if own else "they cannot be changed there"
    return f" Shared with the user's checkout: {names}; {kept}."


def _variables(names: Sequence[str]) -> str:
    return f" They get of the user's variables: {', '.join(names)}." if names else ""


def _listed(paths: Sequence[Path], home: Path) -> str:
    shown = [f"~/{path.relative_to(home)}" if path.is_relative_to(home) and path != home else str(path) for path in paths]
    more = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
    return ", ".join(shown[:NAMED]) + more
