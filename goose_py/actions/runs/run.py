"""A task run to its end in this process, with its consumer beside it; others can attach meanwhile."""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from goose_py.actions.recipes.library import TaskOfRecipe, overrides_with_recipe, task_of_recipe
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import without_secrets
from goose_py.bootstrap.settings import load_settings
from goose_py.bootstrap.workspace.base import CHANGES, recorded_base, repository_of
from goose_py.config.load import Loaded
from goose_py.headless.outputs import JsonOutput, Output, StreamJsonOutput
from goose_py.headless.result import EXIT_PROVIDER, EXIT_USAGE
from goose_py.protocol import commands as cmd
from goose_py.protocol.errors import GooseError, ModelError, UserError
from goose_py.protocol.messages import Text
from goose_py.session.bus import Bus, Subscription
from goose_py.session.log import LOG_NAME, read_log
from goose_py.tasks.server import TaskServer
from goose_py.tasks.spec import TaskSpec, write_spec
from goose_py.tasks.store import TaskFolder
from goose_py.workers.event_loop import INTERRUPTED, TURN_PATIENCE, Ending, run
from goose_py.workers.queue_watch import queue_kept_moving, start_next

if TYPE_CHECKING:
    from goose_py.bootstrap.open_task import OpenTask


@dataclass(frozen=True)
class RunRequest:
    """What the command line asks for. One of `text`, `recipe` and `resume` is given; `text` may come with `resume`."""

    text: str | None = None
    recipe: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    resume: str | None = None
    base: str | None = None
    as_copy: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)
    allow_exec: tuple[str, ...] = ()
    output: Literal["text", "json", "stream-json"] = "text"
    raw: bool = False
    quiet: bool = False


def run_task(request: RunRequest) -> int:
    """Returns the exit code of the table in the README. Only the result is written to standard output."""
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries have to say is not for this terminal
    host = Host.here() if request.resume is None else _arrive()
    output = cache(partial(_output, host, request))
    try:
        return run(lambda ending: _run(host, request, output, ending))
    except KeyboardInterrupt:
        return output().finish(error="It was interrupted before there was anything to keep.", code=INTERRUPTED)
    except GooseError as error:
        return output().finish(error=str(error), code=_code_of(error))


def _arrive() -> Host:
    from goose_py.actions.tasks.moves import host_with_tasks

    return host_with_tasks()


def _code_of(error: GooseError) -> int:
    """The exit code of what kept a task from beginning."""
    return EXIT_PROVIDER if isinstance(error, ModelError) else getattr(error, "exit_code", EXIT_USAGE)


async def _run(host: Host, request: RunRequest, output: Callable[[], Output], ending: Ending) -> int:
    (folder, commands), _ = await asyncio.gather(prepare(host, request), asyncio.to_thread(_import_the_rest, output))
    return await run_prepared(host, folder, commands, output(), ending)


def _import_the_rest(output: Callable[[], Output]) -> None:
    """What opening a task needs, in a thread while git looks at the repository."""
    import_module("goose_py.bootstrap.open_task")
    output()


async def run_prepared(
    host: Host, folder: TaskFolder, commands: Sequence[cmd.AnyCommand], output: Output, ending: Ending
) -> int:
    """Opens the task, performs `commands`, and waits until nothing runs, or until a signal interrupts the turn: what there is
    to say is said before anything is closed, since that may be cut short."""
    from goose_py.bootstrap.open_task import open_task

    consumers: list[Subscription] = []

    def watch(bus: Bus) -> None:
        consumers.append(bus.subscribe())

    if (folder.path / LOG_NAME).exists():
        output.recall(read_log(folder.path).records)
    # Nobody answers here, also where the task was begun on a screen: what would be asked must not wait for ever.
    # What there is to do is known: the model is asked while the files are still on their way.
    async with open_task(host, folder, watch=watch, attended=lambda: False, files_first=False) as task:
        reading = asyncio.ensure_future(_consume(consumers[0], output))
        server = TaskServer(folder.task_id, task.bus, task.history, task.perform)
        try:
            await server.listen(folder.socket)
            async with queue_kept_moving(host):
                await _to_the_end(task, commands)
        except asyncio.CancelledError:
            ending.taken()
            await task.session.end(TURN_PATIENCE)
            folder.socket.unlink(missing_ok=True)
            task.bus.close()
            await reading
            ending.code = output.finish(code=INTERRUPTED)
        finally:
            await server.close()
            folder.socket.unlink(missing_ok=True)
        await reading
    code = ending.code if ending.asked else output.finish()
    from goose_py.workers.release import release_unused

    await release_unused(host, folder)
    if not ending.asked:
        await start_next(host)
    return code


async def _to_the_end(task: "OpenTask", commands: Sequence[cmd.AnyCommand]) -> None:
    for command in commands:
        await task.perform(command)
    await _with_retries(task)


async def _with_retries(task: "OpenTask") -> None:
    """A recipe's `retry`: the turn again, from the first messages, until its checks pass."""
    from goose_py.actions.runs.retry import retries

    await task.session.idle()
    async for _ in retries(task):
        await task.session.idle()


async def _consume(items: Subscription, output: Output) -> None:
    async for item in items:
        output.consume(item)


async def prepare(host: Host, request: RunRequest) -> tuple[TaskFolder, tuple[cmd.AnyCommand, ...]]:
    """Checks everything that can be checked before a task exists, then writes its spec. The last command starts the turn."""
    if request.resume is not None:
        folder = host.task(request.resume)
        return folder, _on_resume(host, folder, request)
    loaded = load_settings(host, flags=request.overrides)
    return await _new_task(host, loaded, request)


def _on_resume(host: Host, folder: TaskFolder, request: RunRequest) -> tuple[cmd.AnyCommand, ...]:
    from goose_py.actions.tasks.options import on_resume

    if request.base is not None or request.as_copy:
        raise UserError("A task that exists keeps its base: only a new one can be given another.")
    going_on = cmd.Continue() if request.text is None else _prompt(host, (Text(request.text),))
    return (*on_resume(host, folder, request.overrides), going_on)


async def _new_task(
    host: Host, loaded: Loaded, request: RunRequest
) -> tuple[TaskFolder, tuple[cmd.AnyCommand, ...]]:
    recipe = TaskOfRecipe()
    if request.recipe is not None:
        recipe = await task_of_recipe(host, request.recipe, request.params, allow_exec=request.allow_exec)
    overrides = overrides_with_recipe(loaded, recipe.overrides, request.overrides)
    base = request.base or CHANGES
    repository = await repository_of(host, host.cwd, as_copy=request.as_copy)
    start = None if repository is None else (await recorded_base(host, repository, base)).record
    folder = host.tasks.new(host.now)
    spec = TaskSpec(
        task_id=folder.task_id,
        folder=str(host.cwd),
        title=recipe.title or _title(request.text or ""),
        prompt=(Text(request.text or recipe.prompt),),
        base=base,
        start=start,
        isolation="copy" if request.as_copy else "worktree",
        interactive=False,
        overrides=overrides,
        allow_exec=request.allow_exec,
        **recipe.spec(),
    )
    write_spec(folder.path, without_secrets(host, spec))
    return folder, (_prompt(host, spec.prompt),)


def _prompt(host: Host, parts: tuple[Text, ...]) -> cmd.Prompt:
    return cmd.Prompt(prompt_id=host.new_id(), parts=parts)


def _title(text: str) -> str:
    return " ".join(text.split())[:80]


def _output(host: Host, request: RunRequest) -> Output:
    match request.output:
        case "json":
            return JsonOutput(sys.stdout, raw=request.raw)
        case "stream-json":
            return StreamJsonOutput(sys.stdout, raw=request.raw)
        case _:
            from goose_py.headless.text import TextOutput

            color = sys.stderr.isatty() and not host.env.get("NO_COLOR")
            return TextOutput(sys.stdout, sys.stderr, color=color, raw=request.raw, quiet=request.quiet)
