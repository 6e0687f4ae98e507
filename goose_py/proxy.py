"""Which proxy the environment names for an address, the same for providers and for MCP servers."""

from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_for(address: str, env: Mapping[str, str]) -> str | None:
    """The proxy that `env` names for an address, as curl reads it: `HTTPS_PROXY` or `http_proxy` by the address's scheme, else
    `ALL_PROXY`; none for a host in `NO_PROXY` (names with their subdomains, `*` for all)."""
    parts = urlsplit(address)
    # HTTP_PROXY in capitals can be set by a request's header where we run as CGI: curl ignores it, and so do we.
    names = (f"{parts.scheme}_proxy", *(("HTTPS_PROXY",) if parts.scheme == "https" else ()), "all_proxy", "ALL_PROXY")
    proxy = next((env[name] for name in names if env.get(name)), None)
    if proxy is None:
        return None
    host = parts.hostname or ""
    for entry in (env.get("no_proxy") or env.get("NO_PROXY") or "").split(","):
        entry = entry.strip().lstrip(".").partition(":")[0]
        if entry and (entry == "*" or host == entry or host.endswith(f".{entry}")):
            return None
    return proxy
