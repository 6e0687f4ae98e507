"""The demonstration: a real repository, a real run of the bundled recipe, a real review; only the model is scripted."""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from goose_py import bundled
from goose_py.actions.review.apply import ApplyRequest, apply_kept
from goose_py.actions.review.show import show
from goose_py.actions.runs.run import RunRequest, prepare, run_prepared
from goose_py.bootstrap.confinement import probe_here
from goose_py.bootstrap.host import Host
from goose_py.demo import PROJECT, SCRIPT, TEST
from goose_py.headless.text import TextOutput
from goose_py.protocol.errors import UserError
from goose_py.workers.event_loop import Ending, run


def run_demo(*, yes: bool, folder: str | None, sandbox: str | None) -> int:
    """Returns the exit code of the run; 0 also where the person said no to applying."""
    host = _with_this_python(Host.here())
    where = _make_repository(host, folder)
    print(
        f"A small repository with a failing test: {where}\n"
        "No API key is used: the model's replies are scripted. Everything else is real.\n",
        file=sys.stderr,
    )
    code, task_id = run(lambda ending: _run(replace(host, cwd=where), sandbox, ending))
    if code:
        return code
    print(file=sys.stderr)
    show(task_id, file=None, stat=False, as_json=False, audit=False)
    print()
    if not yes and not host.stdin_is_terminal:
        print(f"Nothing was applied: say --yes, or run `goose-py apply {task_id} --all`.")
    else:
        apply_kept(ApplyRequest(task_id=task_id, everything=True, yes=yes))
    store = host.tasks.folder(task_id)
    print(f"\nEverything is kept in {store.path}: the log, the worktree, every recorded state.")
    print(f"`goose-py session show {task_id}` reads the session, `goose-py task list --all` lists the task.")
    return 0


async def _run(host: Host, sandbox: str | None, ending: Ending) -> tuple[int, str]:
    if sandbox is None:
        # A demonstration goes on with what there is, and says what that is.
        found = await probe_here(host)
        sandbox = found.level.value
        print(found.sentence, file=sys.stderr)
    overrides = {
        "provider": "scripted",
        "model": "demo",
        "providers.scripted.base_url": str(SCRIPT),
        "mode": "auto",
        "sandbox.level": sandbox,
    }
    request = RunRequest(
        recipe=str(bundled.folder("recipes") / "fix-failing-test.yaml"),
        params={"test": TEST},
        base="head",
        overrides=overrides,
    )
    folder, commands = await prepare(host, request)
    output = TextOutput(sys.stdout, sys.stderr, color=sys.stderr.isatty())
    code = await run_prepared(host, folder, commands, output, ending)
    return code, folder.task_id


def _make_repository(host: Host, folder: str | None) -> Path:
    git = host.which("git")
    if git is None:
        raise UserError("git was not found on PATH; install git 2.31 or newer.")
    where = Path(folder).expanduser() if folder else Path(tempfile.mkdtemp(prefix="goose-py-demo-"))
    where = where if where.is_absolute() else host.cwd / where
    if where.exists() and any(where.iterdir()):
        raise UserError(f"{where} is not empty: name a new folder for the demonstration.")
    shutil.copytree(PROJECT, where, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (where / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n")
    identity = ("-c", "user.name=goose-py demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), (*identity, "commit", "-q", "-m", "A cart with a bug")):
        subprocess.run([git, "-C", where, *arguments], check=True, env={**host.env, "GIT_CONFIG_GLOBAL": "/dev/null"})
    return where


def _with_this_python(host: Host) -> Host:
    """`python` in the demonstration is the one that goose-py runs in, because that one has pytest."""
    path = f"{Path(sys.executable).parent}:{host.env.get('PATH', '')}"
    return replace(host, env={**host.env, "PATH": path})
