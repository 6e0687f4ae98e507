"""A bundled extension as an MCP server on this process's standard input and output."""

import asyncio
import sys
from pathlib import Path

from goose_py import bundled
from goose_py.bootstrap.host import Host
from goose_py.protocol.errors import UserError
from goose_py.toolbox.manifest import Manifest


def serve_extension(name: str, workspace: str | None) -> int:
    host = Host.here()
    known = bundled.extensions()
    if name not in known:
        raise UserError(f"There is no bundled extension {name!r}. There are: {', '.join(known)}.")
    folder = Path(workspace).expanduser() if workspace else host.cwd
    folder = folder if folder.is_absolute() else host.cwd / folder
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.")
    if host.stdin_is_terminal:
        print(f"Serving {name} for {folder} over standard input and output; Ctrl-C ends it.", file=sys.stderr)
    create_server = Manifest.load(known[name]).load_entry()
    server = create_server(folder.resolve(), env=dict(host.env))
    asyncio.run(server.run_stdio_async())
    return 0
