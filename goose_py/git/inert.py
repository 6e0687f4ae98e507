"""The few settings of a user's git configuration that decide how bytes are stored and who a commit is by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from goose_py.git.repository import Repository
from goose_py.git.runner import Git

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


@dataclass(frozen=True)
class InertSettings:
    """`values`: configuration that names no program and can therefore be copied. Author and committer as git would take them
    (git-commit(1), "Commit Information"); not `author_known` where nobody has said who that is. `signs` and `hooks_path`: what
    the user's own commits do, which ours only tell of. `lfs_storage` is where Git LFS keeps its files where that is not `lfs`
    in the git directory."""

    values: tuple[tuple[str, str], ...]
    author_name: str
    author_email: str
    committer_name: str
    committer_email: str
    author_known: bool = True
    signs: bool = False
    hooks_path: str = ""
    lfs_storage: str = ""

    @property
    def sparse(self) -> bool:
        return dict(self.values).get("core.sparsecheckout") == "true"


async def read_inert_settings(repository: Repository) -> InertSettings:
    """From the repository, the user's and the system's configuration. `git config` executes nothing of what it reads."""
    wanted = "|".join((*_KEYS, *_PATHS, *_PERSON, *_CUSTOMS, _LFS_STORAGE)).replace(".", r"\.")
    done = await _with_all_scopes(repository.bound).run(
        "config", "--includes", "-z", "--get-regexp", f"^({wanted})$", ok=(0, 1)
    )
    found: dict[str, str] = {}
    for entry in done.stdout.decode("utf-8", "surrogateescape").split("\0"):
        key, separator, value = entry.partition("\n")
        if key:
            found[key] = value if separator else "true"
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
    )


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
