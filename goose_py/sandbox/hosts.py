"""Which hosts a task may reach: exact names, written in one way only, and no address of this machine or its surroundings."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from goose_py.sandbox.policy import SandboxError

_WEB: Final = frozenset({80, 443})
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
# Addresses that hold another one inside, which a gateway would unpack: NAT64 (RFC 6052, 8215), 6to4 (RFC 3056), Teredo
# (RFC 4380).
_CARRIERS: Final = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """`ports` by canonical host; `addresses` are those that are named themselves, and so may be private. Empty denies all."""

    ports: dict[str, frozenset[int]]
    addresses: frozenset[Address]

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "AllowedHosts":
        """Each entry is `host` (ports 80 and 443) or `host:port`; an IPv6 address stands in brackets. Raises SandboxError."""
        ports: dict[str, frozenset[int]] = {}
        for entry in entries:
            host, port = _split(entry)
            name = canonical(host)
            if name is None or (port is not None and not port.isdecimal()) or not 0 < int(port or 1) < 65536:
                raise SandboxError(
                    f"sandbox.allow_hosts: {entry!r} is no host. Write a whole name such as pypi.org, an address, or either "
                    "with a port (pypi.org:8443); there are no patterns."
                )
            ports[name] = ports.get(name, frozenset()) | (_WEB if port is None else {int(port)})
        return cls(ports, frozenset(address for name in ports if (address := literal(name)) is not None))

    def permits(self, host: str, port: int) -> bool:
        name = canonical(host)
        return name is not None and port in self.ports.get(name, ())

    def reachable(self, host: str, address: str) -> bool:
        """Whether what a permitted name has resolved to may be connected to: a public address, or one that is named."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found
        if found in self.addresses or (canonical(host) == "localhost" and found.is_loopback):
            return True
        carried = any(found.version == network.version and found in network for network in _CARRIERS)
        return found.is_global and not found.is_multicast and not carried


def canonical(host: str) -> str | None:
    """The one spelling of a host: lower case, international names in their ASCII form, no final dot, addresses as Python
    writes them. None for what is no host."""
    if (address := literal(host.removeprefix("[").removesuffix("]"))) is not None:
        return str(address)
    name = host.removesuffix(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    name = name.lower()
    return name if _NAME.fullmatch(name) else None


def literal(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _split(entry: str) -> tuple[str, str | None]:
    if entry.startswith("["):
        host, closed, rest = entry.partition("]")
        return host + closed, None if closed and not rest else rest.removeprefix(":") if rest.startswith(":") else "-"
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port or "-"
    return entry, None
