"""How a request's JSON body reaches a provider and how the bytes of the answer come back.

A transport is a seam: `HttpTransport` speaks HTTP itself (the fast start), `SdkTransport` goes through a vendor's official
client (signing for AWS, tokens for Google, deployments for Azure). Both send the same request; neither retries, neither
parses. `httpx2` and the SDKs are imported when the first request is made.
"""

from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from ipaddress import ip_address
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from goose_py.providers.catalogue import ProviderSettings
from goose_py.providers.profile import Profile

if TYPE_CHECKING:
    import httpx2


_LARGEST_ERROR = 1024 * 1024


class Response(Protocol):
    """An answer whose head has arrived. `headers` look names up without regard to case."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]: ...

    async def read(self, limit: int = ...) -> bytes: ...

    async def close(self) -> None: ...


class Transport(Protocol):
    async def post(self, path: str, body: dict[str, Any]) -> Response:
        """Send and return as soon as the head of the answer is there, whatever its status. Raises what the network
        raises: `errors.from_network` translates it."""
        ...

    def prepare(self) -> None:
        """Do what comes before the first request and takes time: imports, certificates. Blocks; may be called in a thread."""
        ...

    async def close(self) -> None: ...


class HttpxResponse:
    """A streamed httpx2 response. `decode` turns another framing into server-sent events (AWS)."""

    def __init__(self, response: "httpx2.Response", decode: Any = None) -> None:
        self._response = response
        self._decode = decode
        self._chunks: AsyncIterator[bytes] | None = None
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's pieces: one iterator, which a second call continues."""
        if self._chunks is None:
            raw = self._response.aiter_bytes()
            self._chunks = self._decode(raw) if self._decode else raw
        return self._chunks

    async def read(self, limit: int = _LARGEST_ERROR) -> bytes:
        """The body, up to about `limit` bytes: only errors and listings are read whole."""
        if self._response.is_stream_consumed:
            return self._response.content
        pieces, size = [], 0
        async for piece in self._response.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                break
        return b"".join(pieces)

    async def close(self) -> None:
        await self._response.aclose()


def network_errors() -> tuple[type[Exception], ...]:
    """What a transport raises where the network fails, for `errors.from_network`."""
    import httpx2

    return httpx2.HTTPError, httpx2.InvalidURL, OSError


def http_client(profile: Profile, settings: ProviderSettings) -> "httpx2.AsyncClient":
    """The HTTP client of either transport. Reads nothing of the environment: proxy and CA file are handed in. Silence is
    watched by `ProtocolModel`, which knows what is content and what only keeps the line open."""
    import httpx2

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=profile.timeouts.connect),
        trust_env=False,
        proxy=None if is_loopback(profile.base_url) else settings.proxy,
        verify=_trust(profile, settings),
        limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=60.0),
    )


def is_loopback(url: str) -> bool:
    """Whether an address is one of this machine: such a server is never asked through a proxy."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or host.endswith(".localhost") or ip_address(host).is_loopback
    except ValueError:
        return False


def _trust(profile: Profile, settings: ProviderSettings) -> Any:
    import ssl

    if settings.ca_file:
        context = ssl.create_default_context()
        context.load_verify_locations(settings.ca_file)
        return context
    if profile.base_url.startswith("http://") and not settings.proxy:
        # No TLS will happen, and reading the trust store takes 50 ms. This context trusts nobody, so that a mistake here
        # could only fail.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return True


class HttpTransport:
    def __init__(self, profile: Profile, settings: ProviderSettings, protocol_headers: Mapping[str, str]) -> None:
        self._profile = profile
        self._settings = settings
        self._headers = {
            "accept": "text/event-stream" if profile.protocol != "ollama" else "application/x-ndjson",
            "content-type": "application/json",
            "user-agent": "goose-py",
            **protocol_headers,
            **auth_headers(profile, settings.api_key),
            **profile.headers,
        }
        self._client: httpx2.AsyncClient | None = None
        self._opening = Lock()

    async def post(self, path: str, body: dict[str, Any]) -> HttpxResponse:
        client = self._open()
        request = client.build_request(
            "POST",
            self._profile.base_url + path,
            params=self._profile.query or None,
            content=encode(body),
            headers=self._headers,
        )
        return HttpxResponse(await client.send(request, stream=True))

    async def request(self, method: str, url: str, body: dict[str, Any] | None = None) -> HttpxResponse:
        """Any other page of the server, for `probe`."""
        client = self._open()
        content = encode(body) if body is not None else None
        request = client.build_request(
            method, url, content=content, headers={**self._headers, "accept": "application/json"}
        )
        return HttpxResponse(await client.send(request, stream=True))

    def prepare(self) -> None:
        import_module("anyio._backends._asyncio")  # what anyio loads with httpx2's first connection
        self._open()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _open(self) -> "httpx2.AsyncClient":
        with self._opening:
            if self._client is None:
                self._client = http_client(self._profile, self._settings)
            return self._client


def auth_headers(profile: Profile, key: str | None) -> dict[str, str]:
    if not key or profile.auth == "none":
        return {}
    named = {
        "bearer": {"authorization": f"Bearer {key}"},
        "x-api-key": {"x-api-key": key},
        "api-key": {"api-key": key},
        "both": {"authorization": f"Bearer {key}", "x-api-key": key},
    }
    return named[profile.auth]


def encode(body: dict[str, Any]) -> bytes:
    """The body's bytes: the same for the same body, in the order of its keys. Half characters (lone surrogates, from file
    names that are not UTF-8) become replacement characters: JSON cannot carry them."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole_characters(body))


def encodable(body: dict[str, Any]) -> dict[str, Any]:
    """The body as `encode` would write it, for a client that encodes by itself."""
    try:
        msgspec.json.encode(body)
    except UnicodeEncodeError:
        return _whole_characters(body)
    return body


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_characters(item) for item in value]
    return value
