"""A streamable HTTP server: the SDK's transport over an HTTP client that reads no more of an answer than it should."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from goose_py.proxy import proxy_for

MAX_ANSWER = 8 * 1024 * 1024
_CONNECT_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 2.0


class AnswerTooLong(httpx2.StreamError):
    """An answer of more than MAX_ANSWER bytes."""

    def __init__(self) -> None:
        super().__init__(f"the answer is longer than {MAX_ANSWER} bytes")


class HttpTransport:
    """The SDK's `Transport` for one URL. Nothing of the environment is read but what `environment` has of proxies.

    `last_status` is the status of the last answer, because the SDK's error for one of 400 and above has no number."""

    def __init__(self, uri: str, *, headers: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._uri, self._headers = uri, dict(headers)
        self._proxy = proxy_for(uri, environment)
        self._stack = contextlib.AsyncExitStack()
        self.last_status = 0

    async def __aenter__(self) -> tuple[Any, Any]:
        bounded = _Bounded(httpx2.AsyncHTTPTransport(trust_env=False, proxy=self._proxy), self)
        client = httpx2.AsyncClient(
            transport=bounded,
            # Compressed bytes cannot be bounded before they are unpacked.
            headers={**self._headers, "accept-encoding": "identity"},
            # How long an answer may take is the caller's to say: a tool may work for an hour.
            timeout=httpx2.Timeout(_CONNECT_TIMEOUT, read=None),
            trust_env=False,
        )
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(client)
            streams = await stack.enter_async_context(
                streamable_http_client(self._uri, http_client=client, max_sse_event_size=MAX_ANSWER)
            )
            self._stack = stack.pop_all()
            return streams

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)


class _Bounded(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, seen: HttpTransport) -> None:
        self._inner, self._seen = inner, seen

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":  # the courtesy of ending a session must not hold up ours
            request.extensions["timeout"] = httpx2.Timeout(_CLOSE_TIMEOUT).as_dict()
        response = await self._inner.handle_async_request(request)
        self._seen.last_status = response.status_code
        encoding = response.headers.get("content-encoding", "identity")
        if encoding not in ("identity", ""):
            await response.aclose()
            raise httpx2.DecodingError(f"the server sent {encoding!r} content although it was asked not to")
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _BoundedStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > MAX_ANSWER:
                raise AnswerTooLong
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
