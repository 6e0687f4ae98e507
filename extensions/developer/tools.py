"""The tools as models see them, bound to one workspace. A host calls them in its own process; `server` serves them over MCP.

For hosts: a tool's text is for the model. What a host may want to know beside it is in the result's `meta`, for
`shell`: `developer/ended` ("exit", "timeout", "flood" or "background") and `developer/output_bytes` always;
`developer/exit_code` when the shell exited, `developer/log` (path of the full log) when there is one, `developer/job`
(id) when something of it still runs, `developer/refused_write` when it was started by `spawn.reading` and failed because it
wanted to change something.

Live output of `shell` comes as progress, at most ten times a second: the bytes of output so far, and text to append to what
came before. Of a flood only the latest 8 KB of each tenth of a second is told, with a line that says so. It is for the eye:
the tool's result does not depend on it.
"""

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from .editing.edit import EditRequest, edit_file, write_file
from .editing.ledger import Ledger
from .images import Picture
from .patches.apply_patch import apply_patch as patch_files
from .read import DEFAULT_LINES, read_path
from .refusal import Refused
from .search import listing
from .search.grep import MAX_FILE_BYTES, Query
from .search.grep import grep as grep_files
from .search.ripgrep import Ripgrep, installed
from .shared import SharedFolder
from .shell import shell
from .shell.capture import Cleaner
from .shell.jobs import Jobs
from .shell.processes import Spawn, plain_spawn
from .tool import Image, Result, Text, Tool, choice, flag, identifier, integer, number, text
from .workspace import Workspace

_READS = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
_REPLACES = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False}
_EDITS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": False}
_STOPS = _REPLACES
_RUNS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}

READS_ONLY = "developer/reads_only"
"""The host of a call says so of a command that is known to change nothing: it is then started by `spawn.reading`."""

Progress = Callable[[int, str], Awaitable[None]]

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())


@dataclass
class Tools:
    """What one client's connection holds; it ends with the connection."""

    workspace: Workspace
    logs: Workspace
    ledger: Ledger
    jobs: Jobs
    shell: shell.Shell
    ripgrep: Ripgrep | None
    writing: anyio.Lock

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        meta: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Everything that goes wrong is a result that says so: the bare sentence of a refusal, of a crash only that it was
        one. Cancelling it ends what it started."""
        try:
            tool = _TOOLS.get(name)
            if tool is None:
                raise Refused(f"Unknown tool: {name}")
            answer = await tool.function(Call(self, meta or {}, progress), **tool.values(arguments))
        except Refused as refusal:
            return Result((Text(str(refusal)),), is_error=True)
        except Exception:
            logger.exception("Tool %r raised an unexpected exception", name)
            return Result((Text(f"Error executing tool {name}"),), is_error=True)
        return answer if isinstance(answer, Result) else Result((Text(answer),))

    def listed(self) -> list[dict[str, Any]]:
        return tool_list()


@dataclass(frozen=True)
class Call:
    """What a tool's function is given beside the arguments."""

    tools: Tools
    meta: Mapping[str, Any]
    progress: Progress | None


def bind(
    workspace: Path,
    spawn: Spawn | None = None,
    *,
    shown: Path | None = None,
    aliases: Sequence[Path] = (),
    start: str = ".",
    shared: Sequence[tuple[str, tuple[Path, ...], tuple[str, ...]]] = (),
    state: Path | None = None,
    env: Mapping[str, str] | None = None,
    protected: frozenset[str] = frozenset([".git"]),
    cleaner: Callable[[], Cleaner] | None = None,
) -> Callable[[], AbstractAsyncContextManager[Tools]]:
    """What opens a connection to the tools of one workspace folder: `async with connect() as tools`.

    `spawn` starts every command and ripgrep (None: plainly, without a sandbox), in a folder named by its path beneath
    `workspace`. `shown` is the path that models are told, and that commands see where it is not the folder's own: the
    `spawn` sees to that. Absolute paths below one of `aliases` are taken for the same files. `start` is the folder, relative
    to `workspace`, that relative paths and commands begin in. `shared` are folders that the workspace has from elsewhere:
    the path beneath it, or an absolute one outside, the folders it is read from (the first that has a name counts), and the
    paths below that are hidden; tools only read them, and walk into none of themselves. `state` is the folder for full logs
    of commands, made private if it has to be made; None is a private temporary one that goes with the connection.
    `env` is the environment of commands (None: a bare PATH). `protected` are names at or below which nothing is
    written, whatever their case or spelling. `cleaner` makes what takes secrets out of the full log of a command. Commands and
    jobs that still run when the connection ends are ended with it. Raises Refused when `workspace` is no folder.
    """
    folders = tuple(SharedFolder(*one) for one in shared)
    bound = Workspace.at(workspace, protected, shown=shown, aliases=aliases, start=start, shared=folders)
    starts = spawn or plain_spawn

    @asynccontextmanager
    async def connect() -> AsyncIterator[Tools]:
        logs = state if state is not None else Path(tempfile.mkdtemp(prefix="developer-"))
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        jobs = Jobs()
        program = installed()
        try:
            yield Tools(
                bound,
                Workspace.at(logs, frozenset()),
                Ledger(),
                jobs,
                shell.Shell(starts, bound, env, logs, jobs, cleaner),
                Ripgrep(program, getattr(starts, "reading", None) or starts, bound.root, env) if program else None,
                anyio.Lock(),
            )
        finally:
            with anyio.CancelScope(shield=True):
                await jobs.close()
                if state is None:
                    shutil.rmtree(logs, ignore_errors=True)

    return connect


async def shell_tool(call: Call, command: str, timeout: float | None, background: bool) -> Result:
    held = call.tools
    reads_only = call.meta.get(READS_ONLY) is True
    if background:
        return _command_result(await held.shell.run_in_background(command, reads_only=reads_only))
    limit = shell.DEFAULT_TIMEOUT if timeout is None else timeout
    return _command_result(await held.shell.run(command, limit, call.progress, reads_only=reads_only))


def _command_result(outcome: shell.Outcome) -> Result:
    facts = {
        "developer/ended": outcome.ended,
        "developer/exit_code": outcome.exit_code,
        "developer/output_bytes": outcome.output_bytes,
        "developer/log": str(outcome.log) if outcome.log else None,
        "developer/job": outcome.job,
        "developer/refused_write": outcome.refused_write or None,
    }
    return Result(
        (Text(outcome.text),),
        is_error=outcome.ended in ("timeout", "flood"),
        meta={name: value for name, value in facts.items() if value is not None},
    )


async def job_tool(call: Call, action: str, id: str | None, wait_for: str | None, timeout: float | None) -> str:
    jobs = call.tools.jobs
    if action == "list":
        return await jobs.listing()
    if action == "kill":
        return await jobs.kill(id or "")
    return await jobs.log(id or "", wait_for, 30.0 if timeout is None else timeout)


async def read_tool(call: Call, path: str, offset: int | None, limit: int | None) -> Result | str:
    held = call.tools
    result = await anyio.to_thread.run_sync(
        read_path, held.workspace, held.logs, held.ledger, path, offset or 1, DEFAULT_LINES if limit is None else limit
    )
    return Result((Text(result.note), _image(result))) if isinstance(result, Picture) else result


def _image(picture: Picture) -> Image:
    import base64

    return Image(base64.b64encode(picture.data).decode("ascii"), picture.media_type)


async def write_tool(call: Call, path: str, content: str) -> str:
    held = call.tools
    async with held.writing:
        return await anyio.to_thread.run_sync(write_file, held.workspace, held.ledger, path, content)


async def edit_tool(call: Call, path: str, old_string: str, new_string: str, replace_all: bool) -> str:
    held = call.tools
    request = EditRequest(path, old_string, new_string, replace_all)
    async with held.writing:
        return await anyio.to_thread.run_sync(edit_file, held.workspace, held.ledger, request)


async def apply_patch_tool(call: Call, patch: str) -> str:
    held = call.tools
    async with held.writing:
        return await anyio.to_thread.run_sync(patch_files, held.workspace, held.ledger, patch)


async def list_tool(call: Call, path: str, depth: int) -> str:
    return await anyio.to_thread.run_sync(listing.list_folder, call.tools.workspace, path, depth)


async def grep_tool(
    call: Call, pattern: str, path: str, glob: str | None, ignore_case: bool, context: int, files_only: bool
) -> str:
    held = call.tools
    query = Query(pattern, ignore_case, context, files_only)
    query.check()
    files = await listing.files_at(held.workspace, held.ripgrep, path, glob, MAX_FILE_BYTES)
    return await grep_files(held.workspace, held.ripgrep, files, query)


async def glob_tool(call: Call, pattern: str, path: str) -> str:
    held = call.tools
    return await listing.glob(held.workspace, held.ripgrep, pattern, path)


_DEFINITIONS = (
    Tool(
        "shell",
        "Run a bash command in the workspace folder. Each call is a new shell: no cd or variable lasts. No terminal "
        "and no input. Returns the output (head and tail when long), then the exit code. What still runs after the "
        "shell exits becomes a job.",
        _RUNS,
        {
            "command": text(),
            "timeout": number("seconds, default 120"),
            "background": flag("for servers and watchers; see job"),
        },
        shell_tool,
    ),
    Tool(
        "job",
        "List background jobs, read the end of one's log, or kill one.",
        _STOPS,
        {
            "action": choice("list", "log", "kill"),
            "id": identifier(),
            "wait_for": text("log: wait for this text in the output, or for port:N", None),
            "timeout": number("seconds to wait, default 30"),
        },
        job_tool,
    ),
    Tool(
        "read",
        "Read a text file, as line number, tab, line; or look at a png, jpeg, gif or webp picture.",
        _READS,
        {"path": text(), "offset": integer("first line, from 1"), "limit": integer("lines, default 2000")},
        read_tool,
    ),
    Tool(
        "write",
        "Create a file, or replace all of its content. Makes missing folders.",
        _REPLACES,
        {"path": text(), "content": text()},
        write_tool,
    ),
    Tool(
        "edit",
        "Replace old_string by new_string in a file. old_string must be in the file once, copied without line "
        "numbers; add lines around it until it is unique.",
        _EDITS,
        {"path": text(), "old_string": text(), "new_string": text(), "replace_all": flag()},
        edit_tool,
    ),
    Tool(
        "apply_patch",
        "Apply a patch to one or more files, all of it or nothing. Either\n*** Begin Patch\n*** Update File: a.py\n"
        "@@ def f():\n context\n-old\n+new\n*** End Patch\n(also *** Add File: with + lines, *** Delete File:, "
        "*** Move to: after Update File), or a unified diff.",
        _EDITS,
        {"patch": text()},
        apply_patch_tool,
    ),
    Tool(
        "list",
        "List a folder as a tree, without what .gitignore leaves out.",
        _READS,
        {"path": text(default="."), "depth": integer("levels", 2)},
        list_tool,
    ),
    Tool(
        "grep",
        "Search file contents, line by line, for a regular expression. Respects .gitignore.",
        _READS,
        {
            "pattern": text(),
            "path": text(default="."),
            "glob": text("only these files, such as *.py or src/**/*.{ts,tsx}", None),
            "ignore_case": flag(),
            "context": integer("lines around each match", 0),
            "files_only": flag(),
        },
        grep_tool,
    ),
    Tool(
        "glob",
        "Find files by a pattern such as **/*.py, relative to path. Respects .gitignore.",
        _READS,
        {"pattern": text(), "path": text(default=".")},
        glob_tool,
    ),
)
_TOOLS = {tool.name: tool for tool in _DEFINITIONS}


def tool_list() -> list[dict[str, Any]]:
    """The tools exactly as `tools/list` answers them, as JSON values."""
    return [tool.definition() for tool in _DEFINITIONS]
