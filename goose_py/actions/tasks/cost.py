"""What `goose-py cost` prints: what was spent, by day, task and turn."""

import json
import sys
import time
from collections.abc import Sequence

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.protocol.messages import Usage
from goose_py.protocol.safe_text import safe_line
from goose_py.session.log import read_log
from goose_py.tasks.spending import DayCost, TurnCost, spending_by_day, spending_by_turn
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summary_of


class TaskCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one task spent since a day; `complete` is false where the price of some reply is not known."""

    task_id: str
    title: str
    cost: float
    complete: bool
    usage: Usage
    requests: int


def print_cost(task_id: str | None, days: int, *, as_json: bool) -> int:
    host = Host.here()
    if task_id is not None:
        return _print_turns(host.task(task_id), as_json=as_json)
    oldest = _midnight(host.now(), days)
    by_day: dict[str, DayCost] = {}
    tasks: list[TaskCost] = []
    for folder in host.tasks.all():
        found = spending_by_day(_records(folder), oldest)
        for day in found:
            by_day[day.day] = by_day[day.day] + day if day.day in by_day else day
        if found:
            tasks.append(_of_task(folder, found))
    if as_json:
        told = {"days": [by_day[day] for day in sorted(by_day)], "tasks": tasks}
        sys.stdout.write(json.dumps(msgspec.to_builtins(told), indent=2) + "\n")
        return 0
    if not tasks:
        print(f"Nothing was spent since {time.strftime('%Y-%m-%d', time.localtime(oldest))}.")
        return 0
    for name in sorted(by_day):
        day = by_day[name]
        print(f"{name}  {_money(day.cost, complete=day.complete)}  {_tokens(day.usage)}")
    print()
    for task in sorted(tasks, key=lambda task: task.cost, reverse=True):
        print(safe_line(f"{task.task_id}  {_money(task.cost, complete=task.complete)}  {_tokens(task.usage)}  {task.title}"))
    _legend([day.usage for day in by_day.values()], complete=all(day.complete for day in by_day.values()))
    return 0


def _print_turns(folder: TaskFolder, *, as_json: bool) -> int:
    turns = spending_by_turn(_records(folder))
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(turns), indent=2) + "\n")
        return 0
    if not turns:
        print(f"The task {folder.task_id} has spent nothing.")
        return 0
    for turn in turns:
        name = f"turn {turn.turn}" if turn.turn else "before"
        print(safe_line(f"{name:<9} {_money(turn.cost, complete=turn.complete)}  {_tokens(turn.usage)}  {_who(turn)}"))
    whole = sum((turn.usage for turn in turns), Usage())
    complete = all(turn.complete for turn in turns)
    print(f"{'together':<9} {_money(sum(turn.cost for turn in turns), complete=complete)}  {_tokens(whole)}")
    _legend([whole], complete=complete)
    return 0


def _records(folder: TaskFolder):  # type: ignore[no-untyped-def]
    from goose_py.protocol.errors import UserError

    try:
        return read_log(folder.path).records
    except UserError:  # a task that has not begun
        return ()


def _of_task(folder: TaskFolder, days: Sequence[DayCost]) -> TaskCost:
    return TaskCost(
        task_id=folder.task_id,
        title=summary_of(folder).title,
        cost=sum(day.cost for day in days),
        complete=all(day.complete for day in days),
        usage=sum((day.usage for day in days), Usage()),
        requests=sum(day.requests for day in days),
    )


def _who(turn: TurnCost) -> str:
    return ", ".join(f"{model} ×{count}" for model, count in turn.models)


def _midnight(now: float, days: int) -> float:
    """When the first of the last `days` days began here, today being one of them."""
    today = time.localtime(now)
    return time.mktime((today.tm_year, today.tm_mon, today.tm_mday - (days - 1), 0, 0, 0, 0, 0, -1))


def _money(cost: float, *, complete: bool) -> str:
    return f"{'' if complete else '≥'}${cost:.4f}".rjust(10)


def _tokens(usage: Usage) -> str:
    mark = "~" if usage.estimated else ""
    cached = usage.cache_read_tokens
    uncached = usage.input_tokens + usage.cache_write_tokens
    return f"{mark}{uncached:>9,} uncached {cached:>9,} cached in {usage.output_tokens:>8,} out"


def _legend(usages: Sequence[Usage], *, complete: bool) -> None:
    if any(usage.estimated for usage in usages):
        print("~ includes estimates: some replies came without usable figures.")
    if not complete:
        print("≥ at least: the price of some model is not known (set models.\"PROVIDER/MODEL\".price).")
