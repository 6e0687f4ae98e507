"""The transport that goes through a vendor's official client: the same JSON bodies as `HttpTransport`, with the client's own
addressing, signing and tokens. Only its low-level `post` is used, with a raw stream: its retries are off (one budget, in
`retry`), its pydantic parsing of each event is not paid for, and what it would translate is translated once, in `errors`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from importlib import import_module
from threading import Lock
from typing import Any

from goose_py.protocol.errors import UserError
from goose_py.providers.catalogue import ProviderSettings
from goose_py.providers.profile import Profile
from goose_py.providers.transport import HttpxResponse, auth_headers, encodable, http_client

_RAW = {"X-Stainless-Raw-Response": "stream"}


class SdkTransport:
    """`kind` is the profile's `sdk`: anthropic, openai, azure, bedrock, vertex."""

    def __init__(self, profile: Profile, settings: ProviderSettings, protocol_headers: Mapping[str, str]) -> None:
        self._profile = profile
        self._settings = settings
        self._protocol_headers = protocol_headers
        self._client: Any = None
        self._opening = Lock()

    async def post(self, path: str, body: dict[str, Any]) -> HttpxResponse:
        import httpx2

        client = self._open()
        options: Any = {"headers": {**_RAW, **self._silenced()}, "params": self._profile.query}
        try:
            response = await client.post(
                path, cast_to=httpx2.Response, body=encodable(body), options=options, stream=True
            )
        except Exception as error:
            answered = getattr(error, "response", None)
            if isinstance(answered, httpx2.Response):
                return HttpxResponse(answered)
            cause = error.__cause__
            if isinstance(cause, httpx2.HTTPError | OSError):
                raise cause from cause.__cause__  # its own chain names the reason
            raise
        return HttpxResponse(response, _aws_events if self._profile.sdk == "bedrock" else None)

    def _silenced(self) -> dict[str, Any]:
        """Both plain clients would send a bearer where the profile wants none, or no key is there."""
        profile = self._profile
        if profile.sdk not in ("anthropic", "openai") or "authorization" in auth_headers(profile, self._settings.api_key):
            return {}
        return {"Authorization": import_module(profile.sdk).omit}

    def prepare(self) -> None:
        self._open()

    def _open(self) -> Any:
        with self._opening:
            if self._client is None:
                self._client = _CLIENTS[self._profile.sdk](self._profile, self._settings, self._protocol_headers)
            return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None


def _anthropic(profile: Profile, settings: ProviderSettings, protocol_headers: Mapping[str, str]) -> Any:
    import anthropic

    # The client reads profile files and the environment where no key is given, so that one is always given.
    return anthropic.AsyncAnthropic(
        api_key=settings.api_key or "none",
        base_url=profile.base_url,
        max_retries=0,
        open_telemetry=False,
        default_headers=_headers(profile, settings, protocol_headers),
        http_client=http_client(profile, settings),
    )


def _openai(profile: Profile, settings: ProviderSettings, protocol_headers: Mapping[str, str]) -> Any:
    import openai

    client = openai.AsyncOpenAI(
        api_key=settings.api_key or "none",
        base_url=profile.base_url,
        max_retries=0,
        default_headers=_headers(profile, settings, protocol_headers),
        http_client=http_client(profile, settings),
    )
    client.organization = client.project = None  # else taken from the environment
    return client


def _headers(profile: Profile, settings: ProviderSettings, protocol_headers: Mapping[str, str]) -> dict[str, str]:
    """The key where the profile wants it: a compatible server may want it in its older place as well."""
    return {**protocol_headers, **auth_headers(profile, settings.api_key), **profile.headers}


def _azure(profile: Profile, settings: ProviderSettings, protocol_headers: Mapping[str, str]) -> Any:
    import openai

    return openai.AsyncAzureOpenAI(
        azure_endpoint=profile.base_url,
        api_version=settings.options.get("api_version", "2025-04-01-preview"),
        api_key=settings.api_key or "",
        max_retries=0,
        default_headers={**protocol_headers, **profile.headers},
        http_client=http_client(profile, settings),
    )


def _bedrock(profile: Profile, settings: ProviderSettings, protocol_headers: Mapping[str, str]) -> Any:
    anthropic = _with_extra("botocore", "bedrock")
    options = settings.options
    if not (region := options.get("region")):
        raise UserError('Bedrock needs a region: set options.region = "us-east-1" (or yours) in the provider\'s settings.')
    credentials: dict[str, Any] = {"api_key": settings.api_key} if settings.api_key else {"aws_profile": options.get("profile")}
    return anthropic.AsyncAnthropicBedrock(
        aws_region=region,
        base_url=profile.base_url or f"https://bedrock-runtime.{region}.amazonaws.com",
        max_retries=0,
        http_client=http_client(profile, settings),
        **credentials,
    )


def _vertex(profile: Profile, settings: ProviderSettings, protocol_headers: Mapping[str, str]) -> Any:
    options = settings.options
    token = settings.api_key or options.get("access_token")
    anthropic = _import_anthropic() if token else _with_extra("google.auth", "vertex")
    if not (project := options.get("project")):
        raise UserError("Vertex needs a project: set options.project in the provider's settings.")
    region = options.get("region", "global")
    return anthropic.AsyncAnthropicVertex(
        region=region,
        project_id=project,
        access_token=token or None,
        base_url=profile.base_url or None,
        max_retries=0,
        http_client=http_client(profile, settings),
    )


_CLIENTS: dict[str, Callable[[Profile, ProviderSettings, Mapping[str, str]], Any]] = {
    "anthropic": _anthropic,
    "openai": _openai,
    "azure": _azure,
    "bedrock": _bedrock,
    "vertex": _vertex,
}


def _import_anthropic() -> Any:
    import anthropic

    return anthropic


def _with_extra(module: str, extra: str) -> Any:
    import importlib.util

    root = module.partition(".")[0]
    if importlib.util.find_spec(root) is None:
        raise UserError(f'{extra.title()} needs one more package: pip install "goose-py[{extra}]".')
    return _import_anthropic()


async def _aws_events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """AWS frames its streams in its own binary way; the SDK's decoder makes server-sent events of it."""
    from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder

    async for event in AWSEventStreamDecoder().aiter_bytes(chunks):
        yield f"event: {event.event or ''}\ndata: {event.data}\n\n".encode()
