"""Whatever a provider or a network says when it fails, as one of the errors of `goose_py.protocol.errors`.

The vendors share neither statuses nor codes: OpenAI answers 429 to an empty purse, DeepSeek 402, Anthropic 400 to a balance
that is too low and to a prompt that is too long. What tells them apart are the tables below: codes first, then phrases of
the message, then the status.
"""

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from goose_py.protocol.errors import (
    AuthenticationFailed,
    ContextOverflow,
    EndpointUnreachable,
    ModelError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
    StreamInterrupted,
)

_LONGEST_MESSAGE = 600

_CODES: dict[str, type[ModelError]] = {
    "context_length_exceeded": ContextOverflow,
    "model_context_window_exceeded": ContextOverflow,
    "request_too_large": ContextOverflow,
    "exceed_context_size_error": ContextOverflow,
    "insufficient_quota": QuotaExceeded,
    "billing_error": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "billing_not_active": QuotaExceeded,
    "insufficient_balance": QuotaExceeded,
    "exceeded_current_quota_error": QuotaExceeded,
    "contract_spend_limit_reached_error": QuotaExceeded,
    "enforced_spend_limit_reached_error": QuotaExceeded,
    "arrearage": QuotaExceeded,
    "1113": QuotaExceeded,
    "authentication_error": AuthenticationFailed,
    "permission_error": AuthenticationFailed,
    "invalid_api_key": AuthenticationFailed,
    "invalid_authentication_error": AuthenticationFailed,
    "unrecognizedclientexception": AuthenticationFailed,
    "accessdeniedexception": AuthenticationFailed,
    "rate_limit_error": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "rate_limit_reached_error": RateLimited,
    "resource_exhausted": RateLimited,
    "throttlingexception": RateLimited,
    "overloaded_error": ProviderUnavailable,
    "engine_overloaded_error": ProviderUnavailable,
    "server_error": ProviderUnavailable,
    "api_error": ProviderUnavailable,
    "timeout_error": ProviderUnavailable,
    "internal_server_error": ProviderUnavailable,
    "internalserverexception": ProviderUnavailable,
    "serviceunavailableexception": ProviderUnavailable,
    "modelstreamerrorexception": ProviderUnavailable,
    "vector_store_timeout": ProviderUnavailable,
    "invalid_request_error": RequestRejected,
    "not_found_error": RequestRejected,
    "invalid_prompt": RequestRejected,
    "validationexception": RequestRejected,
}
"""Values of `code` and `type` in the bodies of Anthropic, OpenAI, Moonshot, Zhipu (1113), Alibaba, Google and AWS."""

_OVERFLOW = re.compile(
    "|".join(
        (
            r"prompt is too long",  # Anthropic
            r"input length and `?max_tokens`? exceed context limit",  # Anthropic
            r"maximum context length",  # OpenAI, DeepSeek, vLLM, OpenRouter, Together
            r"exceeds the context window",  # OpenAI Responses
            r"maximum prompt length is",  # xAI
            r"exceeds the (?:model'?s? )?maximum (?:number of tokens|input|allowed number)",
            r"input token count .{0,40}exceeds the maximum",  # Gemini
            r"input is too long for requested model",  # Bedrock
            r"too large for model with \d+ maximum context",  # Mistral
            r"reduce the length of the messages",  # Groq
            r"exceeds the available context size",  # llama.cpp
            r"greater than the context length",  # LM Studio
            r"trying to keep the first \d+ tokens when context",  # LM Studio
            r"exceeded model token limit",  # Moonshot
            r"range of input length should be",  # DashScope
            r"context window exceeds limit",  # MiniMax
            r"prompt exceeds max length",  # Zhipu
            r"exceeds (?:the )?context (?:length|window|size|limit)",  # Ollama and others
            r"prompt too long",  # Ollama
            r"context[_ ]length[_ ]exceeded",
            r"too many tokens in (?:the )?(?:prompt|input)",
            r"`inputs` tokens \+ `max_new_tokens` must be",  # text-generation-inference
        )
    ),
    re.IGNORECASE,
)

_QUOTA = re.compile(
    r"credit balance is too low|insufficient (?:balance|credits?|funds|quota)|exceeded your current quota"
    r"|account (?:is )?in arrears|billing hard limit|more credits|payment required|usage limit has been reached"
    r"|余额不足|欠费",
    re.IGNORECASE,
)

_STATUS: dict[int, type[ModelError]] = {
    401: AuthenticationFailed,
    402: QuotaExceeded,
    403: AuthenticationFailed,
    408: ProviderUnavailable,
    409: ProviderUnavailable,
    429: RateLimited,
}

_CAUSES: dict[type[ModelError], str] = {
    AuthenticationFailed: "did not accept the key",
    ContextOverflow: "says that the request does not fit the model's window",
    QuotaExceeded: "says that the account's quota or balance is used up",
    RateLimited: "asks to slow down",
    ProviderUnavailable: "could not answer",
    RequestRejected: "refused the request",
    ModelError: "failed",
}


def from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, provider: str, secret: str, now: Callable[[], float]
) -> ModelError:
    """The error behind an HTTP status that is no success. `headers` must look names up without regard to case. `secret` is
    blotted out wherever the provider repeats it. `now` is in seconds since the epoch, for `Retry-After` dates."""
    code, message = _read_body(body)
    if 300 <= status < 400:
        message = f"it redirects to {headers.get('location', 'nowhere')}; if that is right, set it as the base URL"
    return _error(code, message, provider=provider, secret=secret, status=status, wait=retry_after(headers, now))


def from_event(event: Mapping[str, Any], *, provider: str) -> ModelError:
    """The error that a stream carries in place of an answer: Anthropic's `error` event, OpenAI's `error` and
    `response.failed`, OpenRouter's and vLLM's `{"error": {...}}` chunk, Ollama's `{"error": "..."}`."""
    code, message = _read_object(event)
    status = int(code) if code.isdigit() and 400 <= int(code) <= 599 else None
    error = _error(code, message, provider=provider, secret="", status=status, wait=None)
    if type(error) is ModelError:
        return ProviderUnavailable(str(error), provider=provider)
    return error


def retry_after(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, `Retry-After` in seconds or as an HTTP date (RFC 9110,
    section 10.2.3). None where it says nothing that can be read; never negative."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value or "").timestamp() - now())
    except (ValueError, TypeError):
        return None


def from_network(error: BaseException, *, provider: str, url: str, answered: bool = False) -> ModelError:
    """A failure below HTTP. Names the host and the cause; transient only where the same attempt may work later.
    `answered`: the head of the answer had arrived, so that what broke was its stream."""
    place = _place(url)
    chain = tuple(_chain(error))
    if reason := _distrust(chain):
        return EndpointUnreachable(
            f"{place} shows a certificate that this machine does not trust: {one_line(reason)}. If it is your own server, "
            "name its CA file in the provider's settings.",
            provider=provider,
        )
    if failed := _find(chain, socket.gaierror):
        if getattr(failed, "errno", None) == socket.EAI_AGAIN:
            return ProviderUnavailable(f"The name {place} could not be resolved just now.", provider=provider)
        return EndpointUnreachable(
            f"No host is known by the name {place}. Check the provider's base URL, or the network.", provider=provider
        )
    if _find(chain, ConnectionRefusedError):
        return ProviderUnavailable(f"Nothing answers at {place}: connection refused. Is the server running?", provider=provider)
    names = {type(link).__name__ for link in chain}
    detail = one_line(next((str(link) for link in chain if str(link)), type(error).__name__)).rstrip(".")
    if "ProxyError" in names:
        return EndpointUnreachable(f"The proxy on the way to {place} failed: {detail}.", provider=provider)
    if names & {"UnsupportedProtocol", "InvalidURL", "LocalProtocolError"}:
        return EndpointUnreachable(f"{url!r} cannot be used as a base URL: {detail}.", provider=provider)
    if names & {"ConnectTimeout", "PoolTimeout", "ConnectError"} and not names & {"ReadError"}:
        cause = "no connection in time" if "ConnectTimeout" in names else detail
        return ProviderUnavailable(f"{place} could not be reached: {cause}.", provider=provider)
    kind = StreamInterrupted if answered else ProviderUnavailable
    return kind(f"The connection to {place} broke off: {detail}.", provider=provider)


def one_line(text: str) -> str:
    """Foreign text made fit for one line of a terminal: control and format characters are shown as escapes, runs of white
    space become one space, and what is too long is cut."""
    visible = "".join(char if char.isprintable() or char.isspace() else f"\\u{{{ord(char):x}}}" for char in text)
    line = " ".join(visible.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def redact(text: str, secret: str) -> str:
    """Blots out the key, and what looks like one: vendors quote the end or the whole of it in their errors."""
    if len(secret) >= 4:
        text = text.replace(secret, "[key]")
    return re.sub(r"\b(?:sk|gsk|xai)[-_][\w*\-]{8,}|\bAIza[\w-]{20,}", "[key]", text)


def _error(
    code: str, message: str, *, provider: str, secret: str, status: int | None, wait: float | None
) -> ModelError:
    kind = _kind(code, message, status)
    said = one_line(redact(message, secret)) or "it gave no reason"
    where = f"{provider} {_CAUSES[kind]}" + (f" (HTTP {status})" if status else "")
    return kind(f"{where}: {said}", provider=provider, status=status, retry_after=wait)


def _kind(code: str, message: str, status: int | None) -> type[ModelError]:
    known = _CODES.get(code.lower())
    if _OVERFLOW.search(message) or known is ContextOverflow:
        return ContextOverflow
    if known is QuotaExceeded or (status in (None, 400, 402, 403, 429) and _QUOTA.search(message)):
        return QuotaExceeded
    if status is None:
        return known or ModelError
    if status in _STATUS:
        return _STATUS[status]
    if status >= 500:
        return ProviderUnavailable
    return known if known in (AuthenticationFailed, RateLimited) else RequestRejected


def _read_body(body: bytes) -> tuple[str, str]:
    text = body.decode("utf-8", "replace").strip()
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return "", _strip_html(text)
    if isinstance(value, list) and value:  # Gemini's OpenAI protocol wraps its error in a list
        value = value[0]
    return _read_object(value) if isinstance(value, dict) else ("", text)


def _read_object(value: Mapping[str, Any]) -> tuple[str, str]:
    """Code and message, wherever this vendor keeps them."""
    response = value.get("response")
    inner = value.get("error") or (response.get("error") if isinstance(response, dict) else None) or value
    if isinstance(inner, str):
        return str(value.get("code") or ""), inner
    if not isinstance(inner, dict):
        return "", ""
    code = inner.get("code") or inner.get("type") or inner.get("status") or ""
    if str(code) not in _CODES and str(inner.get("type")) in _CODES:
        code = inner["type"]
    message = inner.get("message") or inner.get("Message") or inner.get("detail") or inner.get("msg") or ""
    metadata = inner.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):  # OpenRouter: what the upstream really said
        message = f"{message}: {metadata['raw']}"
    return str(code), message if isinstance(message, str) else msgspec.json.encode(message).decode()


def _strip_html(text: str) -> str:
    if "<" not in text:
        return text
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    if title:
        return re.sub(r"<[^>]+>", " ", title.group(1))
    text = re.sub(r"<(script|style)\b.*?</\1\s*>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"<[^>]+>", " ", text)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(0.0, number) if number == number and number != float("inf") else None


def _place(url: str) -> str:
    """Host and port, never user, password or query."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.hostname or repr(url)}{port}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        link = pending.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [link.__context__, link.__cause__]
        if isinstance(link, BaseExceptionGroup):
            pending += link.exceptions


def _distrust(chain: tuple[BaseException, ...]) -> str:
    """Why a certificate was not accepted; "" where that is not the cause. httpx2 keeps only the text of ssl's error."""
    for link in chain:
        if isinstance(link, ssl.SSLCertVerificationError):
            return link.verify_message or str(link)
        if found := re.search(r"CERTIFICATE_VERIFY_FAILED\][^:]*: ([^(]*)", str(link)):
            return found.group(1).strip()
    return ""


def _find(chain: tuple[BaseException, ...], kind: type[BaseException]) -> BaseException | None:
    return next((link for link in chain if isinstance(link, kind)), None)
