"""What a check proves about the tree in front of the reviewer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from goose_py.protocol.events import CheckOutcome, VerificationFinished

Standing = Literal["passed", "failed", "failed before", "timed out", "cannot run", "stale", "not run"]

WORST_FIRST: tuple[Standing, ...] = ("failed", "timed out", "cannot run", "stale", "not run", "failed before", "passed")


@dataclass(frozen=True)
class Evidence:
    """One check command relative to a tree. `exit_code` and `tree` are those of its last run, None where it never ran or did
    not end. `stale`: the files were changed after that run, whatever it said; `last` is what it said. `found`: nobody asked for
    it. `stands_in_the_way`: the work is not done with it."""

    command: str
    standing: Standing
    exit_code: int | None = None
    tree: str | None = None
    last: CheckOutcome | None = None
    reason: str = ""
    found: bool = False
    stands_in_the_way: bool = False

    def sentence(self) -> str:
        """For people: the command, how it ended and on which tree."""
        named = f"{self.command} (found)" if self.found else self.command
        if self.standing == "not run":
            return f"not run: {named}"
        ended = "did not end" if self.exit_code is None else f"exit code {self.exit_code}"
        tree = f"tree {self.tree[:10]}" if self.tree else "an unrecorded tree"
        changed = ", edited afterwards" if self.standing == "stale" else ""
        why = f" {self.reason}" if self.reason and self.standing != "stale" else ""
        return f"{self.standing}: {named} ({ended} on {tree}{changed}){why}"


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
    """The worst of all, in the order of `WORST_FIRST`. No check at all is "not run"."""
    for standing in WORST_FIRST:
        if any(each.standing == standing for each in found):
            return standing
    return "passed" if found else "not run"


def _of(command: str, runs: Sequence[VerificationFinished], tree: str) -> Evidence:
    if not runs:
        return Evidence(command, "not run")
    here = [run for run in runs if run.tree == tree]
    run = (here or runs)[-1]
    standing = run.came_to if here else "stale"
    blocks = bool(here) and run.stands_in_the_way
    return Evidence(command, standing, run.exit_code, run.tree, run.came_to, run.reason, run.found, blocks)
