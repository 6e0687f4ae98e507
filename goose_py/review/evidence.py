"""What a check proves about the tree in front of the reviewer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from goose_py.protocol.events import VerificationFinished

Standing = Literal["passed", "failed", "stale", "not run"]


@dataclass(frozen=True)
class Evidence:
    """One check command relative to a tree. `exit_code` and `tree` are those of its last run, None where it never ran or did
    not end. `stale`: the files were changed after that run, whatever it said; `last` is what it said."""

    command: str
    standing: Standing
    exit_code: int | None = None
    tree: str | None = None
    last: Literal["passed", "failed"] | None = None

    def sentence(self) -> str:
        """For people: the command, how it ended and on which tree."""
        if self.standing == "not run":
            return f"not run: {self.command}"
        ended = "did not end" if self.exit_code is None else f"exit code {self.exit_code}"
        tree = f"tree {self.tree[:10]}" if self.tree else "an unrecorded tree"
        changed = ", edited afterwards" if self.standing == "stale" else ""
        return f"{self.standing}: {self.command} ({ended} on {tree}{changed})"


def evidence(
    checks: Sequence[str], finished: Iterable[VerificationFinished], tree: str
) -> tuple[Evidence, ...]:
    """One value for each check command that is wanted or was run, wanted ones first. A run counts for the tree that it ran
    on; the last run on `tree` itself outweighs later runs on others."""
    runs: dict[str, list[VerificationFinished]] = {command: [] for command in checks}
    for run in finished:
        runs.setdefault(run.command, []).append(run)
    return tuple(_of(command, of_command, tree) for command, of_command in runs.items())


def overall(found: Sequence[Evidence]) -> Standing:
    """The worst of all: failed, then stale, then not run. No check at all is "not run"."""
    for standing in ("failed", "stale", "not run"):
        if any(each.standing == standing for each in found):
            return standing
    return "passed" if found else "not run"


def _of(command: str, runs: Sequence[VerificationFinished], tree: str) -> Evidence:
    if not runs:
        return Evidence(command, "not run")
    here = [run for run in runs if run.tree == tree]
    run = (here or runs)[-1]
    last: Literal["passed", "failed"] = "passed" if run.exit_code == 0 else "failed"
    return Evidence(command, last if here else "stale", run.exit_code, run.tree, last)
