"""What a task is asked to be, written before it starts: `task.json` in the task's folder."""

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from goose_py.files import synced, write_atomic
from goose_py.git.worktrees.task_file import BaseRecord
from goose_py.protocol.codec import CodecError, decode, encode
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Image, Text

SPEC_NAME = "task.json"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A branch with the result, and a draft pull request for it. `push`: the user said that it may leave this machine; else
    the commands that would do it are only written down. `remote` and `into` (the branch that it is meant for) are git's names,
    empty for the usual ones. `with_changes`: what the user had not committed when the task began may be on it."""

    push: bool = False
    remote: str = ""
    into: str = ""
    with_changes: bool = False


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` is where the user was; it need not be a repository when `isolation` is "copy". `base`: "head", "changes" (the
    checkout as it is, uncommitted work included) or a revision. `overrides` are settings of this task alone, by dotted key
    (flags and recipe settings), which a resume applies again. `instructions` are a recipe's, for the system prompt; `prompt`
    is the first message. `extensions` are in the form of a recipe, and replace the configured ones where `own_extensions` is
    true. `interactive`: somebody can be asked. `repository` is the root of the checkout, where it was known. `created_at` is
    Unix time. The task begins once those in `after` have come to their end; `touches` are globs of the files that it is
    expected to change, and keep it from running beside a task that declares overlapping ones unless `together`.
    `start` is what `base` was when the task was asked for, None where that is to be seen when it begins; `base_branch` is where
    `base` was taken from, where that is a commit. Tasks of one `group` are compared; `delivery` is what
    becomes of the result when the task has ended by itself."""

    task_id: str
    folder: str
    title: str = ""
    prompt: tuple[Text | Image, ...] = ()
    instructions: str = ""
    base: str = "head"
    isolation: Literal["worktree", "copy", "none"] = "worktree"
    interactive: bool = True
    overrides: dict[str, Any] = {}
    extensions: tuple[dict[str, Any], ...] = ()
    own_extensions: bool = False
    checks: tuple[str, ...] = ()
    response_schema: dict[str, Any] | None = None
    retry: dict[str, Any] | None = None
    recipe: dict[str, Any] | None = None
    allow_exec: tuple[str, ...] = ()
    repository: str = ""
    created_at: float = 0.0
    after: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    together: bool = False
    start: BaseRecord | None = None
    base_branch: str = ""
    group: str = ""
    delivery: Delivery | None = None


def write_spec(folder: Path, spec: TaskSpec) -> None:
    """Raises UserError where the task exists already."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / SPEC_NAME
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UserError(f"The task {spec.task_id} exists already.") from None
    with os.fdopen(fd, "wb") as stream:
        stream.write(encode(spec) + b"\n")
        stream.flush()
        synced(stream.fileno())


def rewrite_spec(folder: Path, spec: TaskSpec) -> None:
    """For a task whose repository was moved: the paths are others, and nothing else is. Raises OSError."""
    write_atomic(folder / SPEC_NAME, encode(spec) + b"\n")


def read_spec(folder: Path) -> TaskSpec:
    """Raises UserError."""
    try:
        return decode((folder / SPEC_NAME).read_bytes(), TaskSpec)
    except FileNotFoundError:
        raise UserError(f"There is no task in {folder}.") from None
    except CodecError as error:
        raise UserError(f"{folder / SPEC_NAME} is damaged: {error}") from None
