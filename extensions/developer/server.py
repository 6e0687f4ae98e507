"""The MCP server: the tools as models see them, bound to one workspace.

For hosts: a tool's text is for the model. What a host may want to know beside it is in the result's `_meta`, for
`shell`: `developer/ended` ("exit", "timeout", "flood" or "background") and `developer/output_bytes` always;
`developer/exit_code` when the shell exited, `developer/log` (path of the full log) when there is one, `developer/job`
(id) when something of it still runs.

Live output of `shell` comes as MCP progress notifications, at most ten a second and only if the call carries a
progress token (`call_tool(..., progress_callback=...)`): `message` is text to append to what came before, `progress`
the bytes of output so far, `total` is absent. Of a flood only the latest 8 KB of each tenth of a second is sent, with
a line that says so. The messages are for the eye: the tool's result does not depend on them.
"""

import logging
import shutil
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import Field

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
from .tool import make_tool
from .workspace import Workspace

FOLDER = Path(__file__).parent
_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_REPLACES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
_EDITS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)
_STOPS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
_RUNS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)


@dataclass
class Connection:
    """What one client's session with the server holds; it ends with the connection."""

    workspace: Workspace
    logs: Workspace
    ledger: Ledger
    jobs: Jobs
    shell: shell.Shell
    ripgrep: Ripgrep | None
    writing: anyio.Lock


DeveloperContext = Context[Connection]

READS_ONLY = "developer/reads_only"
"""The host of a call says so of a command that is known to change nothing: it is then started by `spawn.reading`."""


def manifest() -> dict[str, str]:
    """The fields of extension.toml."""
    return tomllib.loads((FOLDER / "extension.toml").read_text("utf-8"))


def create_server(
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
) -> MCPServer[Connection]:
    """The server for one workspace folder.

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
    async def connection(_: MCPServer[Connection]) -> AsyncIterator[Connection]:
        logs = state if state is not None else Path(tempfile.mkdtemp(prefix="developer-"))
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        jobs = Jobs()
        program = installed()
        try:
            yield Connection(
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

    about = manifest()
    with _root_logger_left_alone():
        return MCPServer(
            about["name"],
            description=about["description"],
            instructions=about["instructions"],
            version=about["version"],
            tools=_TOOLS,
            lifespan=connection,
        )


@contextmanager
def _root_logger_left_alone() -> Iterator[None]:
    """MCPServer() gives a root logger without handlers one that writes to the terminal: here it finds that it has
    one."""
    nothing = logging.NullHandler()
    logging.getLogger().addHandler(nothing)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(nothing)


def _held(ctx: DeveloperContext) -> Connection:
    return ctx.request_context.lifespan_context


async def shell_tool(
    command: str,
    ctx: DeveloperContext,
    timeout: Annotated[float | None, Field(description="seconds, default 120")] = None,
    background: Annotated[bool, Field(description="for servers and watchers; see job")] = False,
) -> CallToolResult:
    held = _held(ctx)
    reads_only = (ctx.request_context.meta or {}).get(READS_ONLY) is True
    if background:
        return _command_result(await held.shell.run_in_background(command, reads_only=reads_only))

    async def live(total: int, text: str) -> None:
        await ctx.report_progress(total, message=text)

    limit = shell.DEFAULT_TIMEOUT if timeout is None else timeout
    outcome = await held.shell.run(command, limit, live, reads_only=reads_only)
    return _command_result(outcome)


def _command_result(outcome: shell.Outcome) -> CallToolResult:
    facts = {
        "developer/ended": outcome.ended,
        "developer/exit_code": outcome.exit_code,
        "developer/output_bytes": outcome.output_bytes,
        "developer/log": str(outcome.log) if outcome.log else None,
        "developer/job": outcome.job,
        "developer/refused_write": outcome.refused_write or None,
    }
    return CallToolResult(
        content=[TextContent(text=outcome.text)],
        is_error=outcome.ended in ("timeout", "flood"),
        _meta={name: value for name, value in facts.items() if value is not None},
    )


async def job_tool(
    action: Literal["list", "log", "kill"],
    ctx: DeveloperContext,
    id: Annotated[str | None, Field(coerce_numbers_to_str=True)] = None,
    wait_for: Annotated[str | None, Field(description="log: wait for this text in the output, or for port:N")] = None,
    timeout: Annotated[float | None, Field(description="seconds to wait, default 30")] = None,
) -> str:
    jobs = _held(ctx).jobs
    if action == "list":
        return await jobs.listing()
    if action == "kill":
        return await jobs.kill(id or "")
    return await jobs.log(id or "", wait_for, 30.0 if timeout is None else timeout)


async def read_tool(
    path: str,
    ctx: DeveloperContext,
    offset: Annotated[int | None, Field(description="first line, from 1")] = None,
    limit: Annotated[int | None, Field(description="lines, default 2000")] = None,
) -> CallToolResult:
    held = _held(ctx)
    result = await anyio.to_thread.run_sync(
        read_path, held.workspace, held.logs, held.ledger, path, offset or 1, DEFAULT_LINES if limit is None else limit
    )
    if isinstance(result, Picture):
        return CallToolResult(content=[TextContent(text=result.note), _image(result)])
    return CallToolResult(content=[TextContent(text=result)])


def _image(picture: Picture) -> ImageContent:
    import base64

    return ImageContent(data=base64.b64encode(picture.data).decode("ascii"), mime_type=picture.media_type)


async def write_tool(path: str, content: str, ctx: DeveloperContext) -> str:
    held = _held(ctx)
    async with held.writing:
        return await anyio.to_thread.run_sync(write_file, held.workspace, held.ledger, path, content)


async def edit_tool(
    path: str,
    old_string: str,
    new_string: str,
    ctx: DeveloperContext,
    replace_all: bool = False,
) -> str:
    held = _held(ctx)
    request = EditRequest(path, old_string, new_string, replace_all)
    async with held.writing:
        return await anyio.to_thread.run_sync(edit_file, held.workspace, held.ledger, request)


async def apply_patch_tool(patch: str, ctx: DeveloperContext) -> str:
    held = _held(ctx)
    async with held.writing:
        return await anyio.to_thread.run_sync(patch_files, held.workspace, held.ledger, patch)


async def list_tool(
    ctx: DeveloperContext,
    path: str = ".",
    depth: Annotated[int, Field(description="levels")] = 2,
) -> str:
    return await anyio.to_thread.run_sync(listing.list_folder, _held(ctx).workspace, path, depth)


async def grep_tool(
    pattern: str,
    ctx: DeveloperContext,
    path: str = ".",
    glob: Annotated[str | None, Field(description="only these files, such as *.py or src/**/*.{ts,tsx}")] = None,
    ignore_case: bool = False,
    context: Annotated[int, Field(description="lines around each match")] = 0,
    files_only: bool = False,
) -> str:
    held = _held(ctx)
    query = Query(pattern, ignore_case, context, files_only)
    query.check()
    files = await listing.files_at(held.workspace, held.ripgrep, path, glob, MAX_FILE_BYTES)
    return await grep_files(held.workspace, held.ripgrep, files, query)


async def glob_tool(pattern: str, ctx: DeveloperContext, path: str = ".") -> str:
    held = _held(ctx)
    return await listing.glob(held.workspace, held.ripgrep, pattern, path)


_TOOLS = [
    make_tool(
        shell_tool,
        "shell",
        "Run a bash command in the workspace folder. Each call is a new shell: no cd or variable lasts. No terminal "
        "and no input. Returns the output (head and tail when long), then the exit code. What still runs after the "
        "shell exits becomes a job.",
        _RUNS,
    ),
    make_tool(job_tool, "job", "List background jobs, read the end of one's log, or kill one.", _STOPS),
    make_tool(
        read_tool,
        "read",
        "Read a text file, as line number, tab, line; or look at a png, jpeg, gif or webp picture.",
        _READS,
    ),
    make_tool(write_tool, "write", "Create a file, or replace all of its content. Makes missing folders.", _REPLACES),
    make_tool(
        edit_tool,
        "edit",
        "Replace old_string by new_string in a file. old_string must be in the file once, copied without line "
        "numbers; add lines around it until it is unique.",
        _EDITS,
    ),
    make_tool(
        apply_patch_tool,
        "apply_patch",
        "Apply a patch to one or more files, all of it or nothing. Either\n*** Begin Patch\n*** Update File: a.py\n"
        "@@ def f():\n context\n-old\n+new\n*** End Patch\n(also *** Add File: with + lines, *** Delete File:, "
        "*** Move to: after Update File), or a unified diff.",
        _EDITS,
    ),
    make_tool(list_tool, "list", "List a folder as a tree, without what .gitignore leaves out.", _READS),
    make_tool(
        grep_tool,
        "grep",
        "Search file contents, line by line, for a regular expression. Respects .gitignore.",
        _READS,
    ),
    make_tool(
        glob_tool,
        "glob",
        "Find files by a pattern such as **/*.py, relative to path. Respects .gitignore.",
        _READS,
    ),
]


def tool_list() -> list[dict[str, object]]:
    """The tools exactly as `tools/list` answers them, as JSON values."""
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "inputSchema": tool.parameters,
            "annotations": tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {},
        }
        for tool in _TOOLS
    ]


async def serve(workspace: Path, state: Path | None, env: Mapping[str, str]) -> None:
    """Serves over the standard input and output of this process until the client closes them. Raises Refused."""
    server = create_server(workspace, state=state, env=env)
    await server.run_stdio_async()


__all__ = ["Connection", "Refused", "create_server", "manifest", "serve", "tool_list"]
