"""Variables of the user's environment that a person has let the commands of a task have."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

import msgspec

_FORM: Final = re.compile(r"[A-Za-z_*?][A-Za-z0-9_*?]*")
_OWN: Final = frozenset(
    {
        "PATH", "HOME", "TMPDIR", "ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "IFS", "PS4", "PROMPT_COMMAND", "PYTHONHOME",
        "PAGER", "EDITOR", "VISUAL", "SSH_ASKPASS", "SUDO_ASKPASS", "PORT", "COMPOSE_PROJECT_NAME", "SANDBOX_NETWORK",
        "PYTHONDONTWRITEBYTECODE", "DEVELOPER_COMMAND",
    }
)  # fmt: skip
_OWN_PREFIXES: Final = ("LD_", "DYLD_", "GIT_", "GOOSE_PY_", "BASH_FUNC_")


class Granted(msgspec.Struct, frozen=True):
    """`values` are what commands get. `missing` are the names, of those that are no globs, that are not set here."""

    values: Mapping[str, str] = {}
    missing: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.values))


def refusal(name: str) -> str:
    """Why nobody can grant `name`, which may be a glob, in one sentence; "" where somebody can."""
    if _FORM.fullmatch(name) is None:
        return f"{name!r} is no name of a variable: letters, digits and _, with * and ? for what may stand there."
    if not name.strip("*?"):
        return f"{name!r} names every variable there is: name those that commands need."
    if _is_own(name):
        return f"The variable {name} cannot be passed on to commands: the sandbox decides it itself."
    return ""


def grant(names: Iterable[str], environment: Mapping[str, str]) -> Granted:
    """What `names`, which may be globs, take from `environment`. Those that the sandbox decides itself never come along."""
    wanted = tuple(dict.fromkeys(names))
    found = {name: value for name, value in environment.items() if not _is_own(name) and covers(wanted, name)}
    exact = (name for name in wanted if not set(name) & {"*", "?"})
    return Granted(found, tuple(name for name in exact if name not in found))


def covers(granted: Iterable[str], name: str) -> bool:
    """Whether one of the names or globs in `granted` stands for `name`."""
    return any(fnmatchcase(name, pattern) for pattern in granted)


def _is_own(name: str) -> bool:
    return name in _OWN or name.startswith(_OWN_PREFIXES)
