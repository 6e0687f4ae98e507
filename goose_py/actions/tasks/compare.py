"""`goose-py compare`: one task on several models or recipes, each in a worktree of its own from the same commit."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import msgspec

from goose_py.actions.recipes.library import overrides_with_recipe, task_of_recipe
from goose_py.actions.review.inspection import InspectedTask, inspect_task
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.actions.tasks.start import TaskRequest, submit
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.settings import load_settings
from goose_py.git.trees.diff import changeset_summary
from goose_py.protocol.amounts import counted, dollars
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_text
from goose_py.tasks.changes.diff_text import diff_text
from goose_py.tasks.spec import read_spec
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import TaskSummary, summary_of
from goose_py.workers.queue import advance_queue

UNFINISHED = ("queued", "planning", "running", "verifying", "awaiting approval", "awaiting plan approval")
DIFF_LIMIT = 200_000
POLL = 0.2


@dataclass(frozen=True)
class CompareRequest:
    """`models` as "provider/model" or "model"; `recipes` are files or names. With recipes the text may be empty."""

    text: str
    models: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None
    wait: bool = True


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """How far two results are apart: the diff between them."""

    one: str
    other: str
    files: int
    added: int
    removed: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    tasks: tuple[TaskSummary, ...]
    pairs: tuple[Pair, ...]


def compare(request: CompareRequest) -> int:
    host = host_with_tasks()
    group = asyncio.run(_start(host, request))
    print(group, file=sys.stderr)
    if request.wait:
        asyncio.run(_wait(host, group))
    return show_comparison(group, as_json=False, diff=False)


def show_comparison(group: str, *, as_json: bool, diff: bool) -> int:
    host = host_with_tasks()
    advance_queue(host)
    folders = _members(host, group)
    if diff:
        asyncio.run(_print_diffs(host, folders))
        return 0
    found = asyncio.run(_compared(host, group, folders))
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(found), indent=2) + "\n")
    else:
        _print(found)
    return 0


async def _start(host: Host, request: CompareRequest) -> str:
    variants = [_model_override(model) for model in request.models] or [{}]
    if len(variants) * max(1, len(request.recipes)) < 2:
        raise UserError(
            "There is nothing to compare: name at least two models, or at least two recipes. Each model runs each recipe."
        )
    group = f"compare-{host.new_id()}"
    requests = []
    for variant in variants:
        flags = {**request.overrides, **variant}
        common: dict[str, Any] = {"group": group}
        if not request.recipes:
            requests.append(TaskRequest(text=request.text, overrides=flags, base=request.base, spec=common))
        for recipe in request.recipes:
            requests.append(await _of_recipe(host, recipe, request.text, flags, request.base, common))
    await submit(host, requests)
    return group


async def _of_recipe(
    host: Host, recipe: str, text: str, flags: Mapping[str, Any], base: str | None, common: Mapping[str, Any]
) -> TaskRequest:
    found = await task_of_recipe(host, recipe, {})
    overrides = overrides_with_recipe(load_settings(host, flags=flags), found.overrides, flags)
    return TaskRequest(text=text or found.prompt, overrides=overrides, base=base, spec={**found.spec(), **common})


def _model_override(model: str) -> dict[str, str]:
    provider, separator, name = model.partition("/")
    return {"provider": provider, "model": name} if separator else {"model": model}


async def _wait(host: Host, group: str) -> None:
    """Until none of them works or waits for its turn. One that asks a person is waited for too, and said."""
    told: set[str] = set()
    while True:
        summaries = [summary_of(folder) for folder in _members(host, group)]
        for summary in summaries:
            if summary.state in ("awaiting approval", "awaiting plan approval") and summary.task_id not in told:
                told.add(summary.task_id)
                print(f"{summary.task_id} asks something: `goose-py inbox` shows it.", file=sys.stderr)
        if not any(summary.state in UNFINISHED for summary in summaries):
            return
        await asyncio.sleep(POLL)


def _members(host: Host, group: str) -> list[TaskFolder]:
    found = []
    for folder in host.tasks.all():
        try:
            spec = read_spec(folder.path)
        except UserError:
            continue
        if spec.group == group:
            found.append((spec.created_at, folder))
    if not found:
        raise UserError(f"There is no comparison {group}.")
    return [folder for _, folder in sorted(found, key=lambda item: (item[0], item[1].task_id))]


async def _inspected(host: Host, folders: Sequence[TaskFolder]) -> list[InspectedTask]:
    """Those that have got as far as files."""
    return [await inspect_task(host, folder, again=True) for folder in folders if summary_of(folder).base_tree]


async def _compared(host: Host, group: str, folders: Sequence[TaskFolder]) -> Comparison:
    pairs = []
    for one, other in combinations(await _inspected(host, folders), 2):
        between = await changeset_summary(
            one.worktree.store.beside(other.worktree.store), one.changes.result_tree, other.changes.result_tree
        )
        pairs.append(
            Pair(
                one=one.folder.task_id,
                other=other.folder.task_id,
                files=len(between.files),
                added=between.added,
                removed=between.removed,
            )
        )
    return Comparison(group=group, tasks=tuple(summary_of(folder) for folder in folders), pairs=tuple(pairs))


async def _print_diffs(host: Host, folders: Sequence[TaskFolder]) -> None:
    for one, other in combinations(await _inspected(host, folders), 2):
        store = one.worktree.store.beside(other.worktree.store)
        print(f"# {one.folder.task_id} ({one.summary.model}) → {other.folder.task_id} ({other.summary.model})")
        text = await diff_text(store, one.changes.result_tree, other.changes.result_tree, DIFF_LIMIT)
        print(safe_text(text) or "the same files")


def _print(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "model", "state", "checks", "diff", "time", "cost"):
        table.add_column(name, no_wrap=True)
    for task in found.tasks:
        diff = f"{counted(task.files, 'file')} +{task.added} −{task.removed}"
        spent = (f"{task.seconds:.1f}s", dollars(task.cost, unpriced=task.unpriced))
        cells = (task.task_id, str(task.model or ""), task.state, task.checks, diff, *spent)
        table.add_row(*(Text(safe_text(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False).print(table)
    for pair in found.pairs:
        apart = f"{pair.files} files differ, +{pair.added} −{pair.removed}" if pair.files else "the same files"
        print(f"{pair.one} and {pair.other}: {apart}")
    show = f"`goose-py compare --show {found.group} --diff`"
    print(f"{show} shows the diffs between them, `goose-py compare --pick ID` takes one.")


def pick(task_id: str, *, yes: bool, how: Any) -> int:
    """Applies one of a comparison. The others stay as they are."""
    from goose_py.actions.review.apply import ApplyRequest, apply_kept

    host = host_with_tasks()
    folder = host.task(task_id)
    group = read_spec(folder.path).group
    if not group:
        raise UserError(f"The task {folder.task_id} is part of no comparison; `goose-py apply` takes it.")
    code = apply_kept(ApplyRequest(task_id=folder.task_id, everything=True, yes=yes, how=how))
    others = [other.task_id for other in _members(host, group) if other.task_id != folder.task_id]
    if code == 0 and summary_of(folder).state == "merged":
        print(f"The others are kept: {', '.join(others)}. `goose-py task discard ID` removes one.")
    return code
