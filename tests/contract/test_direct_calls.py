"""A bundled extension answers its host in the same process as it answers any client over MCP."""

import asyncio
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from developer_extension import command_env, module
from PIL import Image

from goose_py.toolbox.direct_session import DirectSession
from goose_py.toolbox.mcp_session import ConnectFailed, Reply, Session
from goose_py.toolbox.wire.client import McpSession

READS_ONLY = {module("tools").READS_ONLY: True}
PATCH = "*** Begin Patch\n*** Update File: a.py\n@@\n-x = 3\n+x = 4\n*** Add File: made/b.py\n+y = 1\n*** End Patch"
CALLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("read", {"path": "a.py"}, {}),
    ("read", {"path": "a.py", "offset": "2", "limit": 1}, {}),
    ("read", {"path": "dot.png"}, {}),
    ("read", {"path": "nowhere"}, {}),
    ("read", {"path": "/etc/passwd"}, {}),
    ("read", {}, {}),
    ("read", {"path": ["a"], "offset": "x"}, {}),
    ("read", {"path": "a.py", "lines": 3}, {}),
    ("edit", {"path": "a.py", "old_string": "x = 1", "new_string": "x = 3"}, {}),
    ("edit", {"path": "a.py", "old_string": "x = 1", "new_string": "x = 3"}, {}),
    ("edit", {"path": "a.py", "old_string": "\ud800", "new_string": ""}, {}),
    ("write", {"path": "new/c.py", "content": "z = 1\n"}, {}),
    ("write", {"path": ".git/config", "content": ""}, {}),
    ("apply_patch", {"patch": PATCH}, {}),
    ("apply_patch", {"patch": PATCH}, {}),
    ("list", {}, {}),
    ("list", {"path": "new", "depth": None}, {}),
    ("glob", {"pattern": "**/*.py"}, {}),
    ("grep", {"pattern": "= 1", "context": 1, "files_only": "no"}, {}),
    ("grep", {"pattern": "("}, {}),
    ("shell", {"command": "cat a.py; exit 3"}, {}),
    ("shell", {"command": "echo one; sleep 0.3; echo two $HOW"}, {}),
    ("shell", {"command": "echo $HOW"}, READS_ONLY),
    ("shell", {"command": "echo 'cannot write: Read-only file system' >&2; exit 1"}, READS_ONLY),
    ("shell", {"command": "echo 'cannot write: Read-only file system' >&2; exit 1"}, {module("tools").READS_ONLY: "yes"}),
    ("shell", {"command": "echo begun; sleep 600", "timeout": 0.5}, {}),
    ("shell", {"command": ""}, {}),
    ("shell", {"command": "crash"}, {}),
    ("shell", {"command": "echo up; sleep 600", "background": True}, {}),
    ("job", {"action": "log", "id": 1, "wait_for": "up"}, {}),
    ("job", {"action": "kill", "id": "1"}, {}),
    ("job", {"action": "list"}, {}),
    ("job", {"action": "stop"}, {}),
    ("nothing", {}, {}),
]


class Spawn:
    """Says in $HOW by whom a command was started, and breaks down over `crash`."""

    refused_write = ("read-only file system",)

    def __init__(self, how: str, reading: "Spawn | None" = None) -> None:
        self.how, self.reading = how, reading

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
    ) -> asyncio.subprocess.Process:
        if argv[-1] == "crash":
            raise RuntimeError("only for the developers of the extension")
        plain = module("shell.processes").plain_spawn
        return await plain(argv, cwd=cwd, env={**env, "HOW": self.how}, stdout=stdout, stderr=stderr)


def made(folder: Path) -> Path:
    (folder / "work" / ".git").mkdir(parents=True)
    (folder / "work" / "a.py").write_text("x = 1\ny = 2\n")
    Image.new("RGB", (2, 2), "red").save(folder / "work" / "dot.png")
    return folder / "work"


async def answers(session: Session) -> tuple[list[Any], list[Reply], list[str]]:
    """What it lists, what it replies to each call, and what was heard meanwhile."""
    listed: list[Any] = []
    replies: list[Reply] = []
    heard: list[str] = []

    async def serve() -> None:
        listed.extend(await session.list_tools())
        for tool, arguments, meta in CALLS:
            said: list[str] = []
            reply = await session.call(tool, arguments, meta=meta, on_progress=said.append, timeout=60, limit=60)
            replies.append(reply)
            heard.append("".join(said))

    await session.run(serve, 30)
    return listed, replies, heard


def plain(reply: Reply) -> Any:
    """A reply without what differs from one run to the next, and without what MCP adds of its own."""
    meta = {name: value for name, value in reply.meta.items() if name.startswith("developer/")}
    blocks = [(b.type, b.text) if b.type == "text" else (b.type, b.data, b.mime_type) for b in reply.content]
    changing = r"pid \d+|command-\d+-\w+\.log"
    return re.sub(changing, "…", repr((blocks, reply.structured, reply.is_error, meta, reply.text, reply.size)))


async def test_every_call_is_answered_as_over_mcp(tmp_path: Path) -> None:
    options = {"spawn": Spawn("writing", Spawn("reading")), "env": command_env(), "shown": Path("/shown")}
    seen = []
    for way in ("direct", "mcp"):
        work = made(tmp_path)
        given = {**options, "state": tmp_path / "state"}
        if way == "direct":
            session: Session = DirectSession(module("tools").bind(work, **given))
        else:
            server = module("server").create_server(work, **given)
            session = McpSession(server, extension="developer", version="0", workspace_uri=work.as_uri(), ask=None)
        seen.append((await answers(session), {p.name: p.read_text() for p in work.rglob("*.py")}))
        shutil.rmtree(work)
    ((listed, replies, heard), files), ((listed_by_mcp, replies_by_mcp, heard_by_mcp), files_by_mcp) = seen
    assert listed == listed_by_mcp
    assert heard == heard_by_mcp and "one\ntwo writing\n" in heard
    for (tool, arguments, _), ours, theirs in zip(CALLS, replies, replies_by_mcp, strict=True):
        assert plain(ours) == plain(theirs), (tool, arguments)
    assert files == files_by_mcp

    by_command = {(a.get("command"), bool(m)): reply for (_, a, m), reply in zip(CALLS, replies, strict=True)}
    assert by_command["echo $HOW", True].content[0].text.startswith("reading\n")
    assert replies[-1].is_error and replies[-1].content[0].text == "Unknown tool: nothing"
    assert by_command["crash", False].content[0].text == "Error executing tool shell"
    assert [reply.meta.get("developer/refused_write") for reply in replies if reply.meta].count(True) == 1


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyError()])
async def test_what_keeps_the_tools_from_being_opened_is_a_failed_connection(fault: Exception) -> None:
    def connect() -> Any:
        raise fault

    with pytest.raises(ConnectFailed):
        await DirectSession(connect).run(lambda: asyncio.sleep(0), 1)
