"""The checks that nobody asked for, run: with nothing that the user granted, and judged by what they said before the work."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import GooseError
from goose_py.protocol.events import CheckOutcome, VerificationFinished
from goose_py.tasks.changes.trial import on_trial
from goose_py.tasks.check_outcomes import Hindrance, hindrance, same_way
from goose_py.tasks.checks import CheckRunner

LOG_READ = 1 << 20


class FoundCheckRuns:
    """`run` takes a command and the tree of the present files. What the check writes is no part of the work: the files are
    those of that tree again when it has ended. Where it fails it is run on the files that the work began with too: `base` names
    their tree, None for the worktree's own.

    `withheld` says what the user has granted and `runner` does not give; `grants` which setting would help."""

    def __init__(
        self,
        runner: CheckRunner,
        worktree: TaskWorktree,
        scratch: Path,
        base: Callable[[], str | None],
        withheld: str,
        grants: Callable[[Hindrance], str],
    ) -> None:
        self._runner = runner
        self._worktree = worktree
        self._scratch = scratch
        self._base = base
        self._withheld = withheld
        self._grants = grants
        self._on_base: dict[tuple[str, str], VerificationFinished] = {}

    async def run(self, command: str, tree: str | None) -> VerificationFinished:
        """Never raises but for cancellation."""
        result = await self._on(tree or (await self._worktree.snapshot()).tree, command)
        return msgspec.structs.replace(await self._judged(result, command), found=True)

    async def _judged(self, result: VerificationFinished, command: str) -> VerificationFinished:
        if result.came_to != "failed":
            return result
        base = self._base() or self._worktree.base.tree
        if base == result.tree:
            return self._as_before(result, result)
        before = self._on_base.get((command, base))
        if before is None:
            try:
                before = self._on_base[command, base] = await self._on(base, command)
            except GooseError as error:
                return _because(result, "failed", f"What it said before could not be found out: {error}")
        if before.came_to == "timed out":
            return _because(result, "failed before", "On the files that the task began with it did not end in its time.")
        if before.came_to == "passed":
            return _because(result, "failed", "It passes on the files that the task began with.")
        if same_way(before, result, (_whole(before), _whole(result))):
            return self._as_before(before, result)
        return _because(result, "failed", "It failed on the files that the task began with too, but not in this way.")

    def _as_before(self, before: VerificationFinished, result: VerificationFinished) -> VerificationFinished:
        hindered = hindrance(result.exit_code, _whole(result), network=False)
        if hindered is not None and hindered == hindrance(before.exit_code, _whole(before), network=False):
            why = f"{hindered.sentence(result.command)} {self._grants(hindered)}"
            return _because(result, "cannot run", f"{why} {self._withheld}")
        return _because(result, "failed before", f"It fails like this on the files that the task began with. {self._withheld}")

    async def _on(self, tree: str, command: str) -> VerificationFinished:
        async with on_trial(self._worktree, tree, self._scratch):
            return await self._runner.run(command, tree)


def _because(result: VerificationFinished, outcome: CheckOutcome, reason: str) -> VerificationFinished:
    return msgspec.structs.replace(result, outcome=outcome, reason=reason.strip())


def _whole(result: VerificationFinished) -> str:
    """Its output from its log, which holds more of it than the result."""
    try:
        with Path(result.log or "").open("rb") as stream:
            return stream.read(LOG_READ).decode("utf-8", "replace")
    except OSError:
        return result.output
