"""A recipe's `retry`: the task again from its first messages, until every check exits 0 (Goose's rules: `max_retries` further
attempts; `on_failure` runs before each of them; the files stay as they are)."""

from collections.abc import AsyncIterator
from typing import Any

from goose_py.bootstrap.open_task import OpenTask
from goose_py.protocol import events as ev
from goose_py.protocol.commands import Continue


async def retries(task: OpenTask) -> AsyncIterator[int]:
    """Yields the number of each further attempt, which is running then. The results of the checks are logged."""
    wanted = task.spec.retry
    if wanted is None:
        return
    for attempt in range(1, int(wanted["max_retries"]) + 2):
        outcome = task.session.state.outcome
        if outcome is None or outcome.outcome not in ("done", "failed"):
            return
        if await _passes(task, wanted) or attempt > int(wanted["max_retries"]):
            return
        if command := wanted.get("on_failure"):
            runner = task.checks.with_timeout(float(wanted.get("on_failure_timeout_seconds") or 600.0))
            result = await runner.run(command, None)
            if result.exit_code != 0:
                task.session.emit(ev.Warned(text=f"on_failure of the recipe failed: {result.output.strip()[-400:]}"))
        first = next((record.seq for record in task.history() if isinstance(record.event, ev.PromptReceived)), None)
        state = await task.changes.worktree.snapshot()
        task.session.emit(ev.Rewound(tree=state.tree, undo=state.tree, scope="conversation", to_seq=first))
        await task.session.perform(Continue())
        yield attempt


async def _passes(task: OpenTask, wanted: dict[str, Any]) -> bool:
    runner = task.checks.with_timeout(float(wanted.get("timeout_seconds") or 300.0))
    tree = (await task.changes.worktree.snapshot()).tree
    passed = True
    for command in wanted["checks"]:
        result = await runner.run(command, tree)
        task.session.emit(result)
        passed = passed and result.exit_code == 0
    return passed
