"""Run in a network namespace of its own, where there is nothing but a loopback interface: uses goose-py as people do, and
prints what the kernel counted of attempts to reach anybody.

The counters are the namespace's own (`/proc/net/snmp`, `snmp6`): connections that were opened (Tcp ActiveOpens), datagrams sent
(Udp OutDatagrams), and packets for which there was no route (OutNoRoutes), which is what becomes of every attempt to reach the
world from here. They count for all processes alike, also for those that nobody thought of."""

import asyncio
import fcntl
import json
import socket
import struct
import sys
from pathlib import Path

from command import CHECK, FIXING, User, answered

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def counted() -> dict[str, int]:
    found: dict[str, int] = {}
    lines = Path("/proc/net/snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        kind = names.split()[0].rstrip(":")
        found |= {f"{kind}{name}": int(value) for name, value in zip(names.split()[1:], values.split()[1:], strict=True)}
    six = dict(line.split()[:2] for line in Path("/proc/net/snmp6").read_text().splitlines())
    return {
        "opened": found["TcpActiveOpens"],
        "datagrams": found["UdpOutDatagrams"] + int(six.get("Udp6OutDatagrams", 0)),
        "unreachable": found["IpOutNoRoutes"] + int(six.get("Ip6OutNoRoutes", 0)),
    }


def since(before: dict[str, int]) -> dict[str, int]:
    return {name: value - before[name] for name, value in counted().items()}


def try_the_world() -> None:
    """What a program that calls home would do."""
    for kind, address in ((socket.SOCK_STREAM, ("192.0.2.1", 443)), (socket.SOCK_DGRAM, ("192.0.2.53", 53))):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.connect(address)
            except OSError:
                pass


async def use(root: Path) -> dict[str, object]:
    user = User(root)
    codes: dict[str, int] = {}

    async def goose(*args: str, **rest: object) -> str:
        ended = await user.goose(*args, **rest)  # type: ignore[arg-type]
        codes[" ".join(args[:3])] = ended.code
        return ended.out

    async with answered(user, [*FIXING, *FIXING, {"text": "Hello."}]) as server:
        before = counted()
        await goose("--version")
        await goose("doctor")
        await goose("models", "list")
        await goose("models", "show", "anthropic/claude-sonnet-5")
        await goose("config", "list")
        await goose("run", "-t", "Take the discount off", "--check", CHECK, "--output-format", "json")
        task_id = (await goose("task", "start", "Take the discount off", "--mode", "auto")).strip()
        await server.received(len(FIXING) + 3, within=60)
        await goose("task", "list")
        await goose("session", "export", task_id)
        await goose("session", "search", "discount")
        await goose("cost")
        await goose("review", task_id)
        await goose("task", "stop", task_id)
        return {"codes": codes, "connections": server.connections, "objections": server.objections, **since(before)}


if __name__ == "__main__":
    raise_loopback()
    start = counted()
    try_the_world()
    control = since(start)
    print(json.dumps({"control": control, "use": asyncio.run(use(Path(sys.argv[1])))}))
