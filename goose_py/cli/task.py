"""`goose-py task`: the tasks there are, and what can be done with them."""

import asyncio
import json as jsonlib
import sys
from typing import Any

import click

from goose_py.cli.run import limit_options, overrides_of


class _Amount(click.ParamType):
    """A number, or "none"."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "none" or isinstance(value, float):
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor `none`.", param, ctx)


AMOUNT = _Amount()


@click.group()
def task() -> None:
    """Tasks, each in a worktree of its own. Nothing that is not merged is ever deleted by itself."""


@task.command()
@click.argument("text", required=False)
@click.option("--each", metavar="FILE", help="One task a line of a file, long ones between lines of ---; - is stdin.")
@click.option("--after", multiple=True, metavar="ID", help="Begin when this task has come to its end, from what it made.")
@click.option("--touches", multiple=True, metavar="GLOB", help="Files it will change: tasks that overlap do not run together.")
@click.option("--together", is_flag=True, help="Run it even beside a task that touches the same files.")
@click.option("--attach", is_flag=True, help="Show it until it ends.")
@limit_options
def start(text: str | None, each: str | None, attach: bool, **options: Any) -> int:
    """Start a task in the background; as many work at once as `tasks.parallel` allows, the others wait."""
    from goose_py.actions.tasks.start import TaskRequest, start_each, start_task

    if (text is None) == (each is None):
        raise click.UsageError("Say what to do: a TEXT, or --each FILE.")
    request = TaskRequest(
        text=text or "",
        overrides=overrides_of(options),
        base=options["base"],
        as_copy=options["as_copy"],
        after=options["after"],
        touches=options["touches"],
        together=options["together"],
    )
    if each is not None:
        return start_each(each, request)
    return start_task(request, attach=attach)


@task.command("list")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@click.option("--all", "everywhere", is_flag=True, help="Those of every repository, not only of this one.")
def list_(as_json: bool, everywhere: bool) -> int:
    """List tasks: what each needs, its checks, its diff and its cost."""
    from goose_py.actions.review.interrupted_merges import end_all_cut_off
    from goose_py.actions.tasks.moves import host_with_tasks
    from goose_py.cli.listing import print_tasks
    from goose_py.tasks.summaries import list_tasks
    from goose_py.workers.queue import advance_queue

    host = host_with_tasks()
    advance_queue(host)
    end_all_cut_off(host)
    return print_tasks(list_tasks(host.tasks), host, as_json=as_json, everywhere=everywhere)


@task.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@click.option("--all", "everywhere", is_flag=True, help="Those of every repository, not only of this one.")
def conflicts(as_json: bool, everywhere: bool) -> int:
    """Say which tasks that are not merged yet will conflict with each other. The exit code is 1 where any do."""
    from goose_py.actions.tasks.conflicts import show_conflicts

    return show_conflicts(as_json=as_json, everywhere=everywhere)


@task.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def show(id: str, as_json: bool) -> int:
    """Show one task: state, checks, changes, cost, branch, where its files are."""
    from goose_py.actions.tasks.moves import host_with_tasks
    from goose_py.cli.listing import print_task
    from goose_py.tasks.summary import summary_of
    from goose_py.workers.queue_watch import start_next

    host = host_with_tasks()
    asyncio.run(start_next(host))
    folder = host.task(id)
    summary = summary_of(folder)
    if as_json:
        import msgspec

        sys.stdout.write(jsonlib.dumps(msgspec.to_builtins(summary), indent=2) + "\n")
        return 0
    return print_task(folder, summary)


@task.command()
@click.argument("id")
@click.option("--inline", is_flag=True, help="Below the prompt of the shell, not on a screen of its own.")
def attach(id: str, inline: bool) -> int:
    """Show a task live in the terminal interface."""
    from goose_py.cli.tui import open_task

    return open_task(id, inline=inline)


@task.command()
@click.argument("id")
@click.argument("text")
@click.option("--queue", is_flag=True, help="Wait for the end of the running turn.")
def say(id: str, text: str, queue: bool) -> int:
    """Say something to a task; while it runs, it hears it at the next safe boundary."""
    from goose_py.actions.tasks.lifecycle import say as send

    return send(id, text, queue=queue)


@task.command()
@click.argument("id")
def stop(id: str) -> int:
    """Interrupt a task. It can be resumed."""
    from goose_py.actions.tasks.lifecycle import stop as send

    return send(id)


@task.command()
@click.argument("id")
def resume(id: str) -> int:
    """Let a task go on in the background from where its log ends."""
    from goose_py.actions.tasks.lifecycle import resume as send

    return send(id)


@task.command()
@click.argument("id")
@click.option("--max-turns", type=AMOUNT, help="Model requests it may make.")
@click.option("--max-seconds", type=AMOUNT, help="Seconds it may work.")
@click.option("--max-cost", type=AMOUNT, help="US dollars it may spend.")
@click.option("--max-tokens", type=AMOUNT, help="Tokens it may use.")
def limit(id: str, **limits: Any) -> int:
    """Show what a task may spend, or change it, so that work which a limit ended can go on. `none` takes a limit away."""
    from goose_py.actions.tasks.options import set_limits

    whole = {name: int(value) if name in ("max_turns", "max_tokens") and isinstance(value, float) else value
             for name, value in limits.items()}  # fmt: skip
    return set_limits(id, whole)


@task.command()
@click.argument("id")
@click.argument("name", required=False, metavar="[PROVIDER/]MODEL")
@click.option("--effort", type=click.Choice(["off", "minimal", "low", "medium", "high", "max"]), help="How hard it thinks.")
def model(id: str, name: str | None, effort: Any) -> int:
    """Let another model answer from now on. Whether the conversation fits its window is checked first."""
    from goose_py.actions.tasks.options import set_model

    if name is None and effort is None:
        raise click.UsageError("Say which model, or --effort.")
    return set_model(id, name, effort)


@task.command()
@click.argument("id")
def check(id: str) -> int:
    """Run the task's checks on its files as they are now."""
    from goose_py.actions.tasks.lifecycle import check as send

    return send(id)


@task.command()
@click.argument("id")
def setup(id: str) -> int:
    """Run the setup command of a task's worktree again."""
    from goose_py.actions.tasks.lifecycle import set_up

    return set_up(id)


@task.command()
@click.argument("id")
@click.option("--into", default="", metavar="BRANCH", help="Branch to stand on; the one the task began at by default.")
def rebase(id: str, into: str) -> int:
    """Bring a task onto its branch as it is now. What conflicts becomes its next prompt."""
    from goose_py.actions.review.apply import rebase_task

    return rebase_task(id, into)


@task.command()
@click.argument("id")
@click.option(
    "--to", metavar="TURN|CALL|TREE", help="Before this turn (the last one by default) or call, or to a recorded tree."
)
@click.option("--scope", type=click.Choice(["files", "conversation", "both"]), default="files", show_default=True)
@click.option("--preview", is_flag=True, help="Only say what would change.")
@click.option("--undo", is_flag=True, help="Take the last rewind back.")
@click.option("--list", "listing", is_flag=True, help="List the turns and their calls.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rewind(id: str, **options: Any) -> int:
    """Put a task back to before one of its turns or calls: also what commands changed, new and ignored files, branches. It can
    be undone."""
    from goose_py.actions.tasks.rewind import RewindRequest
    from goose_py.actions.tasks.rewind import rewind as go_back

    return go_back(RewindRequest(task_id=id, **options))


@task.command()
@click.argument("id")
@click.option("--tree", help="A recorded state (`--list` shows them); the last one by default.")
@click.option("--list", "listing", is_flag=True, help="List the recorded states.")
def restore(id: str, tree: str | None, listing: bool) -> int:
    """Bring a task's files back, also after its worktree was removed."""
    from goose_py.actions.tasks.lifecycle import restore as bring_back

    return bring_back(id, tree, listing=listing)


@task.command()
@click.argument("id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(id: str, yes: bool) -> int:
    """Remove a task's worktree. What it held is kept, and `task restore` brings it back."""
    from goose_py.actions.tasks.lifecycle import discard as remove

    return remove(id, yes=yes)


@task.command()
@click.argument("ids", nargs=-1, required=True)
def move(ids: tuple[str, ...]) -> int:
    """Move tasks to the repository here, where it is a copy of theirs. One that was moved is found by itself."""
    from goose_py.actions.tasks.moves import move_here

    return move_here(ids)


@task.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--all", "everywhere", is_flag=True, help="Those of all repositories, not only of this one.")
def gc(dry_run: bool, everywhere: bool) -> int:
    """Remove the worktrees of tasks that are merged or were never changed; of everything else it says why it stays."""
    from goose_py.actions.tasks.gc import collect

    return collect(dry_run=dry_run, everywhere=everywhere)
