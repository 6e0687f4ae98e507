"""The answer of the permission rules to one tool call, and the facts about the place that it rests on."""

import posixpath
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["allow", "ask", "deny"]
SandboxLevel = Literal["full", "partial", "none"]

SEVERITY: Final[dict[Verdict, int]] = {"allow": 0, "ask": 1, "deny": 2}
_STRENGTH: Final[dict[SandboxLevel, int]] = {"none": 0, "partial": 1, "full": 2}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call would run: data, and three functions that tell about the machine without changing it.

    `workspace` and `home` are absolute and free of symlinks. `folder` is the one in the workspace that relative paths and
    commands begin in; `names` are further absolute paths that our own tools take for the workspace. `sandbox` is the level that
    a probe found to hold, `weakest` the one the user asks for: below it every shell command is asked about ("none" is only ever
    a person's choice). `realpath` resolves symlinks of an absolute path, existing or not. `which` finds a bare program name
    along the PATH that the command will have, or answers None. `exists` tells whether an absolute path is there. `system_path`
    holds the folders whose programs are taken for what their names say: nobody but root writes them. `readable` and `writable`
    are the folders besides the workspace that the sandbox shows and lets be written (its /tmp), `shared` those of them that our
    own tools read as well. `created` holds the resolved
    paths that the agent itself made in this task. `protected` are names that no tool writes at or below, wherever they
    stand."""

    workspace: str
    home: str
    sandbox: SandboxLevel
    weakest: SandboxLevel = "partial"
    folder: str = "."
    names: tuple[str, ...] = ()
    realpath: Callable[[str], str] = posixpath.normpath
    which: Callable[[str], str | None] = lambda name: f"/usr/bin/{name}"
    exists: Callable[[str], bool] = lambda path: False
    system_path: tuple[str, ...] = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin")
    readable: tuple[str, ...] = ("/usr", "/etc", "/opt", "/bin", "/lib", "/lib64", "/sbin", "/dev", "/proc")
    writable: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    created: Collection[str] = frozenset()
    protected: frozenset[str] = frozenset({".git", ".goose", ".goose-py"})

    @property
    def start(self) -> str:
        """Where relative paths begin."""
        return self.workspace if self.folder == "." else f"{self.workspace}/{self.folder}"

    @property
    def confined(self) -> bool:
        """Whether the sandbox is as strong as the user asks."""
        return _STRENGTH[self.sandbox] >= _STRENGTH[self.weakest]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing a call would do, judged by itself. `text` is the piece of the command, the path or the tool's name;
    `pattern` the grant that would allow it next time ("" where none is offered); `destructive` that it would discard work;
    `reads` that it is known to change nothing. `wider` is a pattern that covers more than this one part, for a person to choose
    instead of `pattern`."""

    text: str
    verdict: Verdict
    reason: str
    pattern: str = ""
    destructive: bool = False
    reads: bool = False
    wider: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is one sentence for a person or the model, `cause` the part of the call that decided. `patterns` are the
    grants that would allow this call without asking: one for each part that asks, all of them needed; none where nothing
    can be granted for longer than once. `wider` are such that allow more, as a choice beside: none where these are all there
    is. `snapshot_first`: a snapshot has to be taken before the call runs, in every mode.
    `reads_only`: every part is known to change nothing, so the call is to be carried out where nothing can be changed."""

    verdict: Verdict
    reason: str
    cause: str = ""
    patterns: tuple[str, ...] = ()
    snapshot_first: bool = False
    reads_only: bool = False
    wider: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


def combine(parts: Collection[Part]) -> Decision:
    """The strictest of the parts; among equals the first, so that what is named is what a reader meets first. Raises
    ValueError without parts: nothing judged is nothing allowed."""
    strictest = max(parts, key=lambda part: (SEVERITY[part.verdict], part.verdict == "ask" and part.destructive))
    asking = [part for part in parts if part.verdict == "ask"]
    offered = strictest.verdict == "ask" and all(part.pattern for part in asking)
    patterns = tuple(dict.fromkeys(part.pattern for part in asking)) if offered else ()
    wider = tuple(dict.fromkeys(part.wider or part.pattern for part in asking)) if offered else ()
    return Decision(
        strictest.verdict,
        shortened(strictest.reason, 500),
        strictest.text,
        patterns,
        snapshot_first=any(part.destructive for part in parts),
        reads_only=all(part.reads for part in parts),
        wider=wider if wider != patterns else (),
        parts=tuple(parts),
    )


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
