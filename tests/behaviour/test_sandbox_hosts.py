"""Allowed hosts: exactly those, from inside a sandbox without a network, through a proxy that cannot be talked into more."""

import asyncio
import platform
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from goose_py.sandbox.detection import find_sandbox
from goose_py.sandbox.hosts import AllowedHosts, canonical
from goose_py.sandbox.policy import Policy, SandboxError
from goose_py.sandbox.proxy import HostProxy
from goose_py.sandbox.spawn import bind
from goose_py.sandbox.toolchains import python_roots

PYTHON = Path(sys.executable)
ROOTS = python_roots(PYTHON, [Path(sys.prefix), Path(sys.base_prefix)])


@pytest.mark.case("A40")
def test_an_empty_list_denies_all_and_a_name_is_only_itself() -> None:
    assert not AllowedHosts.parse(()).permits("pypi.org", 443)
    allowed = AllowedHosts.parse(["pypi.org", "files.example.com:8443", "MÜNCHEN.example", "[2001:db8::1]:8080", "10.1.2.3"])
    for host, port in (
        ("pypi.org", 443), ("pypi.org", 80), ("PyPI.ORG.", 443), ("files.example.com", 8443), ("xn--mnchen-3ya.example", 443),
        ("münchen.example", 80), ("2001:db8::1", 8080), ("2001:0db8:0::1", 8080), ("10.1.2.3", 80),
    ):  # fmt: skip
        assert allowed.permits(host, port), (host, port)
    for host, port in (
        ("pypi.org", 22), ("evilpypi.org", 443), ("pypi.org.evil.com", 443), ("files.example.com", 443), ("www.pypi.org", 443),
        ("pypi.org..", 443), ("pypi.org\0.evil.com", 443), ("user@pypi.org", 443), ("pypi.org%00", 443), ("pypi.org evil", 443),
        ("", 443), (".", 443), ("pуpi.org", 443), ("*", 443), ("127.0.0.1", 80), ("10.1.2.4", 80), ("a" * 300, 80),
    ):  # fmt: skip
        assert not allowed.permits(host, port), (host, port)


@pytest.mark.case("A40")
@pytest.mark.parametrize(
    "entry",
    [
        "", "*", "*.example.com", "https://pypi.org", "pypi.org/simple", "a b", "pypi.org:", "pypi.org:0", "pypi.org:99999",
        "pypi.org:x", "[::1", "[::1]x", "user@host", "-x.example", "a..b", "\x1b[2J",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused_when_it_is_read(entry: str) -> None:
    with pytest.raises(SandboxError, match="is no host"):
        AllowedHosts.parse([entry])


@pytest.mark.case("A40")
def test_a_name_that_leads_to_this_machine_or_its_surroundings_is_not_followed_unless_the_address_is_named() -> None:
    allowed = AllowedHosts.parse(["rebind.example", "10.1.2.3", "localhost:8000"])
    for address in (
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:7f00:1::", "192.0.2.1", "198.18.0.1", "nonsense",
    ):  # fmt: skip
        assert not allowed.reachable("rebind.example", address), address
    for address in ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "10.1.2.3"):
        assert allowed.reachable("rebind.example", address), address
    assert allowed.reachable("localhost", "127.0.0.1") and not allowed.reachable("localhost", "10.0.0.1")


def test_one_host_has_one_spelling() -> None:
    assert (
        canonical("[::1]") == "::1" and canonical("::ffff:1.2.3.4") == "1.2.3.4" and canonical("EXAMPLE.com.") == "example.com"
    )
    assert canonical("a" * 64 + ".com") is None and canonical("exa\u200bmple.com") in (None, "example.com")


class Site:
    """A web server of the host, and what arrived at it."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()


@pytest.fixture
async def site() -> AsyncIterator[tuple[Site, int]]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    yield site, server.sockets[0].getsockname()[1]
    server.close()


class Inside:
    def __init__(self, tmp_path: Path, sandbox, proxy: Path | None) -> None:
        (tmp_path / "w").mkdir(exist_ok=True)
        self.policy = Policy(workspace=tmp_path / "w", home=tmp_path / "h", readable=ROOTS, proxy=proxy)
        self._start = bind(sandbox, self.policy)

    async def run(self, *argv: str) -> tuple[int, str]:
        process = await self._start(
            argv, cwd=str(self.policy.workspace), env={"PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode, output.decode(errors="replace")

    async def python(self, program: str) -> tuple[int, str]:
        return await self.run(str(PYTHON), "-I", "-S", "-c", program)


FETCH = """
import sys, urllib.request
try:
    print(urllib.request.urlopen({url!r}, timeout=10).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
except OSError as error:
    print("failed", error)
"""


@pytest.fixture
async def sandbox(tmp_path: Path):
    found = await find_sandbox(
        platform=sys.platform, machine=platform.machine(), state=tmp_path / "state", python=PYTHON, readable=ROOTS
    )
    if found.backend != "bubblewrap":
        pytest.skip(f"NOT TESTED: {found.sentence}")
    return found.sandbox


async def test_from_inside_the_named_host_is_reached_and_no_other_and_nothing_else_of_the_network(
    tmp_path, sandbox, site
) -> None:
    pages, port = site
    refused: list[str] = []
    proxy = HostProxy(AllowedHosts.parse([f"127.0.0.1:{port}", f"localhost:{port}"]), refused.append)
    await proxy.start(tmp_path / "net")
    inside = Inside(tmp_path, sandbox, tmp_path / "net")
    try:
        assert (tmp_path / "net").stat().st_mode & 0o777 == 0o600
        # NO_PROXY names loopback, which inside is the command's own: it is taken away to ask for the host's.
        ask = "import os\nfor n in ('NO_PROXY', 'no_proxy'): os.environ.pop(n)\n"
        assert await inside.python(ask + FETCH.format(url=f"http://127.0.0.1:{port}/a?b=c")) == (0, "hello\n")
        head = pages.heads[0].decode()
        assert head.startswith("GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:") and "Proxy-" not in head
        _, text = await inside.python(FETCH.format(url="http://example.com/"))
        assert text.startswith("403 goose-py: example.com:80 is not one of the hosts") and "policy" in text, text
        assert refused == ["example.com:80"]
        _, direct = await inside.python(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)")
        assert "refused" in direct, "without the proxy there is still no network"
        _, local = await inside.python("import socket\nsocket.socket(socket.AF_UNIX)")
        assert "PermissionError" in local, "and no local sockets"
        assert (await inside.run("/bin/sh", "-c", "exit 7"))[0] == 7
        assert len(pages.heads) == 1
    finally:
        await proxy.close()


async def test_a_tunnel_carries_bytes_both_ways(tmp_path, sandbox, site) -> None:
    _, port = site
    proxy = HostProxy(AllowedHosts.parse([f"127.0.0.1:{port}"]))
    await proxy.start(tmp_path / "net")
    program = (
        "import os, socket\nfrom urllib.parse import urlsplit\np = urlsplit(os.environ['HTTPS_PROXY'])\n"
        "s = socket.create_connection((p.hostname, p.port))\n"
        f"s.sendall(b'CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\n')\nprint(s.recv(99).decode().split()[1])\n"
        "s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\ndata = b''\nwhile chunk := s.recv(99): data += chunk\nprint(data[-5:])"
    )
    try:
        assert (await Inside(tmp_path, sandbox, tmp_path / "net").python(program))[1] == "200\nb'hello'\n"
    finally:
        await proxy.close()


async def test_the_proxy_lets_go_when_the_last_of_a_command_has_gone_and_ignores_what_is_no_listener(tmp_path, site) -> None:
    _, port = site
    proxy = HostProxy(AllowedHosts.parse([f"127.0.0.1:{port}"]))
    await proxy.start(tmp_path / "net")

    async def command(kind: str) -> socket.socket:
        here = socket.socket(socket.AF_UNIX)
        here.connect(str(tmp_path / "net"))
        if kind == "listener":
            given = socket.create_server(("127.0.0.1", 0))
            socket.send_fds(here, [b"l"], [given.fileno()])
            self_port = given.getsockname()[1]
            given.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", self_port)
            writer.write(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())
            assert b"hello" in await reader.read()
            here.close()
            async with asyncio.timeout(10):
                while True:
                    try:
                        _, again = await asyncio.open_connection("127.0.0.1", self_port)
                        again.close()
                        await asyncio.sleep(0.01)
                    except OSError:
                        break
        elif kind == "a file":
            with (tmp_path / "x").open("w") as file:
                socket.send_fds(here, [b"l"], [file.fileno()])
        elif kind == "a connected socket":
            first, second = socket.socketpair()
            socket.send_fds(here, [b"l"], [first.fileno()])
            first.close(), second.close()
        else:
            here.sendall(b"x" * 100)
        return here

    try:
        left = [await command(kind) for kind in ("a file", "a connected socket", "nothing", "listener", "listener")]
        for one in left:
            one.close()
    finally:
        await proxy.close()


@pytest.mark.parametrize(
    "request_line",
    [
        "GET / HTTP/1.1", "GET ftp://127.0.0.1/ HTTP/1.1", "GET http://user@127.0.0.1/ HTTP/1.1", "CONNECT 127.0.0.1 HTTP/1.1",
        "CONNECT [::1 HTTP/1.1", "CONNECT x:y HTTP/1.1", "GET http:///x HTTP/1.1", "\0", "A B C D",
        "GET file:///etc/passwd HTTP/1.1",
        "CONNECT 127.0.0.1:99999 HTTP/1.1", "GET http://127.0.0.1:80/ SMTP",
    ],
)  # fmt: skip
async def test_a_request_that_is_none_is_answered_and_goes_nowhere(tmp_path: Path, request_line: str) -> None:
    proxy = HostProxy(AllowedHosts.parse(["127.0.0.1"]))
    await proxy.start(tmp_path / "net")
    here = socket.socket(socket.AF_UNIX)
    here.connect(str(tmp_path / "net"))
    given = socket.create_server(("127.0.0.1", 0))
    socket.send_fds(here, [b"l"], [given.fileno()])
    try:
        reader, writer = await asyncio.open_connection(*given.getsockname())
        writer.write(request_line.encode() + b"\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 400 ")
    finally:
        given.close()
        here.close()
        await proxy.close()
