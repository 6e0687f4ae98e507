"""The cloud vendors' own clients, and what is loaded when."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from wire import WireServer
from wire.client import KEY, ask, asking

from goose_py.protocol.errors import ContextOverflow, RateLimited, StreamInterrupted, UserError
from goose_py.protocol.messages import ModelRef
from goose_py.providers import ProviderSettings, open_model
from goose_py.providers.scripted import ScriptedCall, ScriptedError, Turn

ROOT = Path(__file__).parents[2]
CALL = ScriptedCall(name="shell", arguments={"command": "ls"})


async def test_vertex_is_reached_through_its_own_client() -> None:
    async with WireServer([Turn(text="hello", calls=[CALL])]) as server:
        settings = ProviderSettings(
            base_url=server.url, api_key="token", options={"project": "my-project", "region": "europe-west1"}
        )
        model = open_model(ModelRef(provider="vertex", model="claude-sonnet-4-6@default"), settings, now=lambda: 0.0)
        _, reply = await ask(model, asking())
        await model.close()
        (request,) = server.requests
    assert request.path.endswith(
        "/projects/my-project/locations/europe-west1/publishers/anthropic/models/claude-sonnet-4-6@default:streamRawPredict"
    )
    assert request.headers["authorization"] == "Bearer token"
    assert "model" not in request.body and request.body["anthropic_version"]
    assert [call.arguments for call in reply.message.tool_calls()] == [{"command": "ls"}]


@pytest.mark.parametrize(
    ("protocol", "ending"),
    [("responses", "/openai/responses"), ("chat", "/openai/deployments/gpt-5.5/chat/completions")],
)
async def test_azure_is_reached_through_its_own_client(protocol: str, ending: str) -> None:
    async with WireServer([Turn(text="hello", calls=[CALL])], key=KEY) as server:
        settings = ProviderSettings(
            base_url=server.url, api_key=KEY, options={"api_version": "2025-04-01"}, profile={"protocol": protocol}
        )
        model = open_model(ModelRef(provider="azure", model="gpt-5.5"), settings, now=lambda: 0.0)
        _, reply = await ask(model, asking())
        await model.close()
        (request,) = server.requests
    path, _, query = request.path.partition("?")
    assert path.endswith(ending) and query == "api-version=2025-04-01"
    assert request.headers["api-key"] == KEY
    assert reply.message.text() == "hello" and server.objections == []


needs_bedrock = pytest.mark.skipif(
    importlib.util.find_spec("botocore") is None, reason="the extra `bedrock` is not installed"
)


@needs_bedrock
async def test_bedrock_is_reached_through_its_own_client() -> None:
    async with WireServer([Turn(text="hello", thinking="hm", calls=[CALL], chunk=3)]) as server:
        settings = ProviderSettings(base_url=server.url, api_key="bedrock-key", options={"region": "eu-west-1"})
        model = open_model(ModelRef(provider="bedrock", model="eu.anthropic.claude-sonnet-4-6"), settings, now=lambda: 0.0)
        _, reply = await ask(model, asking())
        await model.close()
        (request,) = server.requests
    assert request.path == "/model/eu.anthropic.claude-sonnet-4-6/invoke-with-response-stream"
    assert request.headers["authorization"] == "Bearer bedrock-key"
    assert "model" not in request.body and "stream" not in request.body and request.body["anthropic_version"]
    assert reply.message.text() == "hello"
    assert [call.arguments for call in reply.message.tool_calls()] == [{"command": "ls"}]
    assert server.objections == []


@needs_bedrock
@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        (Turn(text="half", error=ScriptedError(cut=True)), StreamInterrupted),
        (Turn(text="x", wire={"insert": "throttlingException", "insert_after": 2}), RateLimited),
        (Turn(error=ScriptedError(status=429, message="Too many requests")), RateLimited),
        (Turn(error=ScriptedError(status=400, message="Input is too long for requested model.")), ContextOverflow),
    ],
    ids=["cut", "throttled in the stream", "throttled", "too long"],
)
async def test_what_goes_wrong_at_bedrock_has_its_type(turn: Turn, kind: type) -> None:
    async with WireServer([turn]) as server:
        settings = ProviderSettings(base_url=server.url, api_key="bedrock-key", options={"region": "eu-west-1"})
        model = open_model(ModelRef(provider="bedrock", model="eu.anthropic.claude-sonnet-4-6"), settings, now=lambda: 0.0)
        with pytest.raises(kind):
            await ask(model, asking())
        await model.close()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("provider", "settings", "said"),
    [
        ("vertex", {"api_key": "token"}, r"Vertex needs a project: set options\.project"),
        ("bedrock", {"api_key": "key"}, r"Bedrock needs (a region: set options\.region|one more package)"),
    ],
)
async def test_what_a_cloud_client_lacks_is_one_sentence(provider: str, settings: dict, said: str) -> None:
    model = open_model(ModelRef(provider=provider, model="claude-sonnet-4-6"), ProviderSettings(**settings), now=lambda: 0.0)
    with pytest.raises(UserError, match=said):
        await ask(model, asking())
    await model.close()


def loaded_by(code: str, *names: str) -> set[str]:
    """Which of these modules a fresh interpreter has after this code."""
    program = f"import sys\n{code}\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


HEAVY = ("anthropic", "openai", "httpx2", "anyio", "pydantic", "ruamel.yaml", "jsonschema")


def test_opening_a_model_loads_no_sdk_and_no_http_client() -> None:
    code = (
        "from goose_py.providers import open_model, ProviderSettings\n"
        "from goose_py.protocol.messages import ModelRef\n"
        "for name in ('anthropic', 'openai', 'bedrock'):\n"
        "    open_model(ModelRef(provider=name, model='m'), ProviderSettings(api_key='k'), now=lambda: 0.0)\n"
    )
    assert loaded_by(code, *HEAVY) == set()


def test_a_request_over_plain_http_loads_no_sdk() -> None:
    code = (
        "import asyncio\n"
        "from goose_py.providers import open_model, ProviderSettings\n"
        "from goose_py.protocol.errors import ModelError\n"
        "from goose_py.protocol.messages import ModelRef, Text, UserMessage\n"
        "from goose_py.protocol.model_io import ModelRequest\n"
        "async def main():\n"
        "    settings = ProviderSettings(api_key='k', base_url='http://127.0.0.1:9')\n"
        "    model = open_model(ModelRef(provider='anthropic', model='m'), settings, now=lambda: 0.0)\n"
        "    try:\n"
        "        async for _ in model.stream(ModelRequest(model='m', system='', messages=(UserMessage((Text('x'),)),))): pass\n"
        "    except ModelError: pass\n"
        "asyncio.run(main())\n"
    )
    assert loaded_by(code, "anthropic", "openai", "pydantic", "httpx2") == {"httpx2"}
