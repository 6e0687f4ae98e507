"""The few settings of a user's git configuration that decide how bytes are stored and who a commit is by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.protocol.redact import redact

_KEYS = (
    "core.autocrlf",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.symlinks",
    "core.precomposeunicode",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
)
_PATHS = ("core.excludesfile", "core.attributesfile")
_PERSON = ("user.name", "user.email", "author.name", "author.email", "committer.name", "committer.email")
_CUSTOMS = ("commit.gpgsign", "core.hookspath")
_LFS_STORAGE = "lfs.storage"
_FILTER = re.compile(r"filter\.(.*)\.(clean|process)", re.DOTALL)
# What git prints, and where branches belong: names no program, file or credential. Addresses are shown without these.
_SHOWN = (
    r"core\.(abbrev|quotepath|whitespace|commentchar|checkroundtripencoding)",
    r"diff\.(algorithm|renames|renamelimit|noprefix|mnemonicprefix|context|interhunkcontext|indentheuristic|submodule"
    r"|ignoresubmodules|colormoved|dirstat|wserrorhighlight)",
    r"(status|color|column|i18n|versionsort)\..*", r"(branch|tag)\.sort", r"log\.(date|decorate|follow|abbrevcommit|showroot)",
    r"merge\.(conflictstyle|ff|renames|renamelimit|log)", r"pull\.(ff|rebase)", r"push\.default", r"init\.defaultbranch",
    r"branch\..*\.(remote|merge|rebase|pushremote)", r"remote\..*\.(url|pushurl|fetch|push|promisor|partialclonefilter)",
    r"remote\.pushdefault", r"extensions\.partialclone",
)  # fmt: skip
_IS_SHOWN = re.compile("|".join(f"(?:{each})" for each in _SHOWN), re.IGNORECASE)


@dataclass(frozen=True)
class InertSettings:
    """`values`: configuration that names no program and can therefore be copied. Author and committer as git would take them
    (git-commit(1), "Commit Information"); not `author_known` where nobody has said who that is. `signs` and `hooks_path`: what
    the user's own commits do, which ours only tell of. `lfs_storage` is where Git LFS keeps its files where that is not `lfs`
    in the git directory; `filters` are the names of those that have a program. `shown` are settings by which git says in a task
    what it says in the checkout, credentials struck out; `excludes` and `attributes` the user's own files of patterns, their
    usual places included."""

    values: tuple[tuple[str, str], ...]
    author_name: str
    author_email: str
    committer_name: str
    committer_email: str
    author_known: bool = True
    signs: bool = False
    hooks_path: str = ""
    lfs_storage: str = ""
    filters: frozenset[str] = frozenset()
    shown: tuple[tuple[str, str], ...] = ()
    excludes: Path | None = None
    attributes: Path | None = None

    @property
    def sparse(self) -> bool:
        return dict(self.values).get("core.sparsecheckout") == "true"


async def read_inert_settings(repository: Repository) -> InertSettings:
    """From the repository, the user's and the system's configuration. `git config` executes nothing of what it reads."""
    wanted = "|".join((*_KEYS, *_PATHS, *_PERSON, *_CUSTOMS, _LFS_STORAGE)).replace(".", r"\.")
    wanted += "|" + "|".join((*_SHOWN, _FILTER.pattern))
    done = await _with_all_scopes(repository.bound).run(
        "config", "--includes", "--show-scope", "-z", "--get-regexp", f"^({wanted})$", ok=(0, 1)
    )
    found: dict[str, str] = {}
    shown: list[tuple[str, str]] = []
    scopes: dict[str, str] = {}
    fields = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    for scope, entry in zip(fields[0::2], fields[1::2], strict=False):
        key, separator, value = entry.partition("\n")
        if key:
            found[key], scopes[key] = value if separator else "true", scope
            if _IS_SHOWN.fullmatch(key):
                shown.append((key, redact(found[key])))
    home = repository.git.env.get("HOME", "")
    if not (repository.common_dir / "head").exists():
        # Here names that differ only in case are two files, whatever the configuration brought along from elsewhere says: git
        # would record only one of them.
        found.pop("core.ignorecase", None)
    values = [(key, _boolean(found[key]) if key not in ("core.eol",) else found[key]) for key in _KEYS if key in found]
    paths = {key: _expanded(found[key], home) for key in _PATHS if key in found}
    # A device or a pipe would be read without end, by git and by us: a stranger's git directory may name one.
    values += [(key, path) for key, path in paths.items() if (repository.root / path).is_file()]
    env = repository.git.env

    def person(who: str, what: str) -> str:
        said = (env.get(f"GIT_{who.upper()}_{what.upper()}"), found.get(f"{who}.{what}"), found.get(f"user.{what}"))
        return next((each.strip() for each in said if each and each.strip()), env.get("EMAIL", "") if what == "email" else "")

    author, address = person("author", "name"), person("author", "email")
    return InertSettings(
        values=tuple(values),
        author_name=author or "goose-py",
        author_email=address or "goose-py@localhost",
        committer_name=person("committer", "name") or author or "goose-py",
        committer_email=person("committer", "email") or address or "goose-py@localhost",
        author_known=bool(author and address),
        signs=_boolean(found.get("commit.gpgsign", "")) == "true",
        hooks_path=_expanded(found.get("core.hookspath", ""), home),
        lfs_storage=_expanded(found.get(_LFS_STORAGE, ""), home),
        filters=frozenset(name[1] for key, value in found.items() if value and (name := _FILTER.fullmatch(key))),
        shown=tuple(shown),
        excludes=_patterns(repository, _users(repository, paths, scopes, "core.excludesfile"), "ignore"),
        attributes=_patterns(repository, _users(repository, paths, scopes, "core.attributesfile"), "attributes"),
    )


def _users(repository: Repository, paths: Mapping[str, str], scopes: Mapping[str, str], key: str) -> str | None:
    """What the user configured. A repository may have been sent by somebody who would like to see some file of theirs: what it
    names counts only within it."""
    path = paths.get(key)
    if path is None or scopes.get(key) in ("global", "system"):
        return path
    return path if (repository.root / path).resolve().is_relative_to(repository.root) else None


def _patterns(repository: Repository, configured: str | None, usual: str) -> Path | None:
    """The file that git reads: the one that is configured, else the usual one (gitignore(5), gitattributes(5))."""
    env = repository.git.env
    home = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else "")
    place = repository.root / configured if configured else Path(home) / "git" / usual
    return place if (configured or home) and place.is_file() else None


def _with_all_scopes(bound: Git) -> Git:
    env = {
        name: value
        for name, value in bound.env.items()
        if name not in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM") and not name.startswith("GIT_CONFIG_")
    }
    return Git(executable=bound.executable, env=env, cwd=bound.cwd)


def _boolean(value: str) -> str:
    lowered = value.lower()
    if lowered in ("true", "yes", "on", "1"):
        return "true"
    if lowered in ("false", "no", "off", "0", ""):
        return "false"
    return lowered


def _expanded(value: str, home: str) -> str:
    return str(Path(home) / value[2:]) if value.startswith("~/") and home else value
