"""What keeps a repository from being used before its user has said that it may be: a checkout that leads to a git directory
which knows nothing of it, and an owner for whose sake git itself refuses.

Files that a stranger sent may point to another repository of this user, whose content is none of theirs. And a repository
of somebody else's says by its configuration what runs, which is why git looks at safe.directory first (git-config(1))."""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from goose_py.git.runner import Git
from goose_py.git.untrusted import read_small

_REFUSED = re.compile(rb"dubious ownership|unsafe repository")
_BACK = re.compile(r"^\s*worktree\s*=\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Doubt:
    """`reason` is a sentence without its end. `about` is what exactly would be taken: anything else is another question."""

    folder: Path
    kind: Literal["git directory", "owner"]
    reason: str
    about: Mapping[str, Any]


Accepted = Callable[[Doubt], bool]
"""Whether a person has said that what is doubted may be used."""


def nobody(doubt: Doubt) -> bool:
    return False


def unclaimed(folder: Path, git_dir: Path) -> Doubt | None:
    """Where `git_dir` is neither in the checkout nor says that it belongs to it, as a submodule's does."""
    if git_dir.parent == folder and not (folder / ".git").is_symlink():
        return None
    claims = _BACK.findall(read_small(git_dir / "config", 1 << 20) or "")
    if any(os.path.realpath(git_dir / claim.strip('"')) == str(folder) for claim in claims):
        return None
    said = f"{folder / '.git'} leads to {git_dir}, which does not say that it belongs here"
    return Doubt(folder, "git directory", said, identity_of(git_dir))


def identity_of(git_dir: Path) -> Mapping[str, Any]:
    found = git_dir.stat()
    return {"git_dir": str(git_dir), "device": found.st_dev, "inode": found.st_ino}


async def of_another_owner(git: Git, folder: Path, git_dir: Path) -> Doubt | None:
    """Whether git, with its user's own configuration, refuses the repository because of whose it is. `git` is bound to none."""
    strangers = [owner for path in (folder / ".git", folder, git_dir) if (owner := _stranger(path, git)) is not None]
    if not strangers:
        return None
    as_its_user = {name: value for name, value in git.env.items() if name not in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")}
    done = await replace(git, env=as_its_user, cwd=folder).run("rev-parse", "--git-dir", ok=(0, 128))
    if not _REFUSED.search(done.stderr):
        return None
    name = str(strangers[0])
    with suppress(KeyError):
        name = pwd.getpwuid(strangers[0]).pw_name
    said = f"{folder} belongs to another user ({name}), for which git itself refuses it"
    return Doubt(folder, "owner", said, {"owner": strangers[0]})


def _stranger(path: Path, git: Git) -> int | None:
    """The owner of a file or folder, where that is not who git takes for its user: for root also who called sudo."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return None  # what it leads to counts
    me = os.geteuid()
    by_sudo = git.env.get("SUDO_UID", "")
    own = {0, int(by_sudo)} if me == 0 and by_sudo.isdigit() else {me}
    return None if found.st_uid in own else found.st_uid
