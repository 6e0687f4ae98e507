"""What `goose-py doctor` looks at. Each line is a verdict in one sentence."""

import asyncio
import sys

from goose_py import __version__
from goose_py.actions.models.listing import open_models
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.models import chosen_model
from goose_py.bootstrap.repository import git_of, open_repository
from goose_py.bootstrap.settings import load_settings, secret_store
from goose_py.config.errors import ConfigError
from goose_py.git.errors import GitError
from goose_py.git.trees.merge import WITH_MERGE_TREE
from goose_py.headless.result import EXIT_PROVIDER
from goose_py.protocol.errors import GooseError, ModelError
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.safe_text import safe_text
from goose_py.providers.catalogue import check_key
from goose_py.review.errors import listed
from goose_py.sandbox.variables import grant
from goose_py.tasks.summaries import list_tasks
from goose_py.workers.queue import plan_queue, waiting_folders

OK, BAD, NOTE = "✓", "✗", "·"


def check_machine() -> int:
    host = Host.here()
    lines = asyncio.run(_machine(host))
    for mark, text in lines:
        print(safe_text(f"{mark} {text}"))
    return 1 if any(mark == BAD for mark, _ in lines) else 0


async def _machine(host: Host) -> list[tuple[str, str]]:
    python = ".".join(map(str, sys.version_info[:3]))
    lines = [(OK, f"goose-py {__version__} on Python {python}, {sys.platform}")]
    lines += await _git(host)
    lines += await _sandbox(host)
    lines.append(
        (OK if host.which("rg") else NOTE, "ripgrep: found" if host.which("rg") else "ripgrep: not found, searching is slower")
    )
    lines += await _model(host)
    lines += _variables(host)
    lines += _tasks(host)
    return lines


async def _git(host: Host) -> list[tuple[str, str]]:
    try:
        git = git_of(host)
        version = ".".join(map(str, await git.version()))
    except GitError as error:
        return [(BAD, f"git: {error}")]
    old = await git.version() < (2, 50, 1)
    slow = "; before 2.38 merges take longer" if await git.version() < WITH_MERGE_TREE else ""
    lines = [(NOTE, f"git {version} works, but is older than 2.50.1: update it{slow}") if old else (OK, f"git {version}")]
    try:
        repository = await open_repository(host, host.cwd)
    except GitError as error:
        return [*lines, (NOTE, f"repository: {error}")]
    state = f", {repository.operation} under way" if repository.operation else ""
    return [*lines, (OK, f"repository: {repository.root} on {repository.head.branch or 'a detached HEAD'}{state}")]


async def _sandbox(host: Host) -> list[tuple[str, str]]:
    from goose_py.bootstrap.confinement import probe_here, said_of

    found = await probe_here(host, anew=True)
    mark = OK if found.level.value == "full" else NOTE
    try:
        return [(mark, said_of(host, load_settings(host).settings, found))]
    except ConfigError:
        return [(mark, found.sentence)]  # what is wrong is said with the model


async def _model(host: Host) -> list[tuple[str, str]]:
    try:
        loaded = load_settings(host)
    except ConfigError as error:
        return [(BAD, f"configuration: {problem}") for problem in error.problems]
    try:
        ref = chosen_model(loaded.settings)
        models = open_models(host)
        profile = await models.profile(ref)
        settings = await models.settings_of(ref.provider)
        check_key(profile, settings.api_key)
    except GooseError as error:
        return [(NOTE, f"model: {error}")]
    lines = [(OK, f"model: {ref}, {profile.context_window:,} tokens; `goose-py doctor model` asks it")]
    lines += [(NOTE, warning) for warning in loaded.warnings]
    names = secret_store(host).names()
    return [*lines, (OK, f"keys: {', '.join(f'{name} ({place})' for name, place in names.items())}")] if names else lines


def _variables(host: Host) -> list[tuple[str, str]]:
    try:
        granted = grant(load_settings(host).settings.sandbox.env, host.env)
    except ConfigError:
        return []  # said with the model
    missing = f"; not set here: {', '.join(granted.missing)}" if granted.missing else ""
    if not granted.names and not missing:
        return []
    return [(NOTE if missing else OK, f"commands get of your variables: {', '.join(granted.names) or 'none'}{missing}")]


def _tasks(host: Host) -> list[tuple[str, str]]:
    tasks = list_tasks(host.tasks)
    lost = [task for task in tasks if task.detail.startswith("The program ended while")]
    lines = [(OK, f"tasks: {len(tasks)} kept in {host.tasks.root}")]
    if lost:
        lines.append(
            (NOTE, f"tasks cut short: {', '.join(task.task_id for task in lost[:5])}; `goose-py task resume ID` goes on")
        )
    if waiting_folders(host):
        plan = plan_queue(host)
        if plan.start:
            names = listed(plan.start, 5)
            lines.append((NOTE, f"tasks that nobody has started: {names}; any look at the tasks does (`goose-py task list`)"))
        lines += [(NOTE, f"{task} waits: {reason}") for task, reason in plan.reasons.items() if task in plan.stuck]
    return lines


def check_model(provider: str | None, model: str | None) -> int:
    host = Host.here()
    flags = {key: value for key, value in (("provider", provider), ("model", model)) if value}
    ref = chosen_model(load_settings(host, flags=flags).settings)
    return asyncio.run(_five_calls(host, ref))


async def _five_calls(host: Host, ref: ModelRef) -> int:
    from goose_py.providers.fitness import examine

    models = open_models(host)
    print(f"Five short calls to {ref}:")
    try:
        findings = await examine(await models.open(ref))
    except ModelError as error:
        print(f"{BAD} {error}")
        return EXIT_PROVIDER
    finally:
        await models.close()
    for finding in findings:
        print(safe_text(f"{OK if finding.ok else BAD} {finding.name}{f': {finding.said}' if finding.said else ''}"))
    return 0 if all(finding.ok for finding in findings) else 1
