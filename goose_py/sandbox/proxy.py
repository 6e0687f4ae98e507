"""The one way out of a sandbox without a network: an HTTP proxy of ours that connects to the hosts a person has named.

A command cannot reach us, and we cannot enter its network. So the shim that starts it (`reach.py`) listens on the loopback of
that network and hands us the listening socket over a local one, before it gives up making such sockets; whoever connects to
it inside talks to us. The local socket stays open as long as anything of the command lives, and tells us when to let go.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from goose_py.sandbox.hosts import AllowedHosts

_HEAD: Final = 32_768
_HEAD_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 30.0
_CHUNK: Final = 65_536
_COMMANDS: Final = 512
_CONNECTIONS: Final = 256


class HostProxy:
    """`start` listens at `path` (a folder of ours; mode 0600), `close` ends every connection. `refused` hears of each host
    that was asked for and is not allowed, once."""

    def __init__(self, allowed: AllowedHosts, refused: Callable[[str], None] = lambda host: None) -> None:
        self._allowed = allowed
        self._refused = refused
        self._told: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._open = 0

    async def start(self, path: Path) -> None:
        """Raises OSError."""
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.setblocking(False)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(128)
        self._spawn(self._accept(self._listener))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._listener is not None:
            self._listener.close()

    def _spawn(self, work) -> None:  # type: ignore[no-untyped-def]
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            if len(self._tasks) > _COMMANDS:
                connection.close()
            else:
                self._spawn(self._command(connection))

    async def _command(self, connection: socket.socket) -> None:
        """One start of a process inside, for as long as it lives."""
        with contextlib.closing(connection):
            inside = await _received(connection)
            if inside is None:
                return
            try:
                server = await asyncio.start_server(self._connected, sock=inside, limit=_HEAD)
            except (OSError, ValueError):  # not the listening socket of a network of its own
                inside.close()
                return
            try:
                await _until_closed(connection)
            finally:
                server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open += 1
        try:
            if self._open <= _CONNECTIONS:
                await self._serve(reader, writer)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        request = _parsed(head)
        if request is None:
            return _answer(writer, "400 Bad Request", "This is no request that a proxy understands.")
        host, port, onward = request
        if not self._allowed.permits(host, port):
            return self._refuse(writer, f"{host}:{port}")
        target = await self._connect(host, port)
        if target is None:
            return _answer(writer, "502 Bad Gateway", f"{host}:{port} cannot be reached, or has no public address.")
        onward_reader, onward_writer = target
        try:
            if onward:
                onward_writer.write(onward)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer))
        finally:
            onward_writer.close()

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Resolved once, and connected to what was looked at: a name that changes its mind gains nothing."""
        loop = asyncio.get_running_loop()
        name = host.removeprefix("[").removesuffix("]")
        try:
            found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except OSError:
            return None
        for address in dict.fromkeys(entry[4][0] for entry in found):
            if not self._allowed.reachable(host, str(address)):
                continue
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    return await asyncio.open_connection(str(address), port)
            except (OSError, TimeoutError):
                continue
        return None

    def _refuse(self, writer: asyncio.StreamWriter, host: str) -> None:
        if host not in self._told and len(self._told) < 20:
            self._told.add(host)
            self._refused(host)
        _answer(
            writer,
            "403 Not in sandbox.allow_hosts",
            f"{host} is not one of the hosts that commands may reach here (sandbox.allow_hosts). This is policy: trying again "
            "changes nothing.",
        )


def _parsed(head: bytes) -> tuple[str, int, bytes] | None:
    """Host, port, and what is sent on: nothing for CONNECT, else the request as the host itself expects it."""
    try:
        first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = first.split(" ")
        address = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = address.hostname, address.port
    except ValueError:
        return None
    plain = method != "CONNECT"
    if not host or address.username is not None or not version.startswith("HTTP/1.") or (plain and address.scheme != "http"):
        return None
    if not plain:
        return (host, port, b"") if port else None
    port = port or 80
    shown = f"[{host}]" if ":" in host else host
    kept = [line for line in lines if line.partition(":")[0].strip().lower() not in _OURS]
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    where = shown if port == 80 else f"{shown}:{port}"
    request = [f"{method} {path} {version}", f"Host: {where}", *kept, "Connection: close"]
    return host, port, ("\r\n".join(request) + "\r\n\r\n").encode("latin-1")


_OURS: Final = frozenset({"host", "connection", "proxy-connection", "proxy-authorization", "keep-alive"})


def _answer(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = f"goose-py: {text}\n".encode()
    head = (f"HTTP/1.1 {status}", "Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(body)}")
    writer.write("\r\n".join((*head, "Connection: close", "", "")).encode() + body)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


async def _received(connection: socket.socket) -> socket.socket | None:
    """The listening socket that the shim sends as its first and only message."""
    connection.setblocking(False)
    readable = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    loop.add_reader(connection, lambda: readable.done() or readable.set_result(None))
    try:
        async with asyncio.timeout(_HEAD_SECONDS):
            await readable
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    except (OSError, TimeoutError):
        return None
    finally:
        loop.remove_reader(connection)
    if not descriptors:
        return None
    try:
        inside = socket.socket(fileno=descriptors[0])
        listens = inside.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        return None
    if inside.family != socket.AF_INET or not listens:
        inside.close()
        return None
    inside.setblocking(False)
    return inside


async def _until_closed(connection: socket.socket) -> None:
    """What else is sent is nobody's: it is read away, and descriptors that come with it are not taken."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while await loop.sock_recv(connection, 1024):
            pass
