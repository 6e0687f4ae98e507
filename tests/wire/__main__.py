"""`python -m wire --script FILE [--port N] [--key KEY] [--value NAME=TEXT ...] [--record FILE]`"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from goose_py.protocol.errors import UserError
from goose_py.providers.scripted import load_script
from wire.server import WireServer, serve


async def _standard_input() -> AsyncIterator[bytes]:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line


async def _main(options: argparse.Namespace) -> None:
    values = dict(value.split("=", 1) for value in options.value)
    server = WireServer(load_script(options.script), values=values, key=options.key)
    try:
        await serve(server, options.port, _standard_input())
    finally:
        if options.record:
            kept = [{"path": request.path, "headers": request.headers, "body": request.body} for request in server.requests]
            report = {"requests": kept, "objections": server.objections}
            options.record.write_bytes(msgspec.json.encode(report))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m wire", description="A model server that answers from a script.")
    parser.add_argument("--script", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", help="answer 401 to requests without this key")
    parser.add_argument("--value", action="append", default=[], metavar="NAME=TEXT", help="a placeholder of the script")
    parser.add_argument("--record", type=Path, help="write what was received to this file at the end")
    try:
        asyncio.run(_main(parser.parse_args()))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
