"""Asking servers what they have, and models what they can do."""

import pytest
from wire import WireServer
from wire.client import KEY, connect

from goose_py.protocol.errors import AuthenticationFailed, ProviderUnavailable, RequestRejected
from goose_py.protocol.messages import ModelRef
from goose_py.providers import ProviderSettings
from goose_py.providers.fitness import examine
from goose_py.providers.probe import FoundModel, describe, list_models
from goose_py.providers.scripted import Match, ScriptedCall, ScriptedError, Turn

BASES = {"anthropic": "anthropic", "openai": "responses", "vllm": "chat", "ollama": "ollama"}


def at(server: WireServer, provider: str) -> ProviderSettings:
    return ProviderSettings(base_url=server.base_url(BASES[provider]), api_key=KEY)


@pytest.mark.parametrize("provider", BASES)
async def test_the_models_of_an_endpoint_are_listed(provider: str) -> None:
    async with WireServer([], models={"b": {}, "a": {"max_model_len": 4_096}}) as server:
        found = await list_models(provider, at(server, provider), now=lambda: 0.0)
    assert [model.name for model in found] == ["a", "b"]
    if provider != "ollama":
        assert found[0] == FoundModel(name="a", context_window=4_096)


@pytest.mark.parametrize(
    ("described", "window"),
    [
        ({"max_model_len": 40_960}, 40_960),
        ({"context_length": 131_072, "top_provider": {"max_completion_tokens": 8_192}}, 131_072),
        ({"meta": {"n_ctx": 16_384}}, 16_384),
        ({"context_window": "large"}, None),
        ({}, None),
    ],
)
async def test_a_listing_that_names_the_window_is_believed(described: dict, window: int | None) -> None:
    async with WireServer([], models={"m": described}) as server:
        ref = ModelRef(provider="vllm", model="m")
        assert (await describe(ref, at(server, "vllm"), now=lambda: 0.0)).context_window == window


async def test_llama_cpp_is_asked_for_its_properties() -> None:
    props = {"default_generation_settings": {"n_ctx": 12_288}}
    async with WireServer([], models={"m": {}, "props": props}) as server:
        settings = ProviderSettings(base_url=server.base_url("chat"))
        assert (await describe(ModelRef(provider="llamacpp", model="m"), settings, now=lambda: 0.0)).context_window == 12_288


@pytest.mark.parametrize(
    ("shown", "window"),
    [
        ({"model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960}}, 40_960),
        ({"model_info": {"qwen3.context_length": 40_960}, "parameters": "temperature 0.6\nnum_ctx    8192"}, 8_192),
        ({}, None),
    ],
)
async def test_ollama_is_asked_for_the_length_of_a_model(shown: dict, window: int | None) -> None:
    async with WireServer([], models={"qwen3:8b": shown}) as server:
        ref = ModelRef(provider="ollama", model="qwen3:8b")
        assert (await describe(ref, at(server, "ollama"), now=lambda: 0.0)).context_window == window


async def test_ollama_says_whether_a_model_takes_tools_and_pictures() -> None:
    models = {"able": {"capabilities": ["completion", "tools", "vision"]}, "plain": {"capabilities": ["completion"]}, "old": {}}
    found = {}
    async with WireServer([], models=models) as server:
        for name in models:
            ref = ModelRef(provider="ollama", model=name)
            found[name] = await describe(ref, at(server, "ollama"), now=lambda: 0.0)
    assert [(model.tools, model.images) for model in found.values()] == [(True, True), (False, False), (None, None)]


async def test_what_cannot_be_asked_is_one_clear_error() -> None:
    with pytest.raises(RequestRejected, match=r"Bedrock .* does not list its models"):
        await list_models("bedrock", now=lambda: 0.0)
    async with WireServer([]) as server:
        settings = at(server, "openai")
        with pytest.raises(RequestRejected, match="not found"):
            await describe(ModelRef(provider="ollama", model="absent"), at(server, "ollama"), now=lambda: 0.0)
    with pytest.raises(ProviderUnavailable, match="connection refused"):
        await list_models("openai", settings, now=lambda: 0.0)


ABLE = [
    Turn(text="Ready.", when=Match(last_contains="single word")),
    Turn(calls=[ScriptedCall(name="add", arguments={"a": 17, "b": 25})], when=Match(last_contains="17 and 25."), repeat=1),
    Turn(
        calls=[ScriptedCall(name="add", arguments={"a": a, "b": a + 1}) for a in (1, 3)],
        when=Match(last_contains="twice"),
    ),
    Turn(calls=[ScriptedCall(name="add", arguments={"a": 17, "b": 25})], when=Match(last_contains="only the sum")),
    Turn(text="4,242", when=Match(last_contains="4242", results=1)),
    Turn(
        calls=[
            ScriptedCall(
                name="write_file",
                arguments={"path": "greet.py", "content": 'def greet(name):\n    print(f"Hello, {name}!")\n'},
            )
        ],
        when=Match(last_contains="greet.py"),
    ),
]


@pytest.mark.parametrize("protocol", ["anthropic", "responses", "chat", "ollama"])
async def test_an_able_model_passes_all_five_probe_calls(protocol: str) -> None:
    async with WireServer(ABLE) as server:
        model = connect(server, protocol)
        findings = await examine(model)
        await model.close()
        assert server.objections == []
    assert [(finding.ok, finding.said) for finding in findings] == [(True, "")] * 5


async def test_a_model_that_writes_its_calls_as_text_passes_where_its_profile_says_so() -> None:
    written = [
        Turn(text="Ready."),
        Turn(text='<tool_call>{"name": "add", "arguments": {"a": 17, "b": 25}}</tool_call>'),
        Turn(text='{"name": "add", "arguments": {"a": 1, "b": 2}}\n{"name": "add", "arguments": {"a": 3, "b": 4}}'),
        Turn(text='```json\n{"name": "add", "arguments": {"a": 17, "b": 25}}\n```'),
        Turn(text="It is 4242."),
        Turn(
            text="<function=write_file><parameter=path>greet.py</parameter><parameter=content>\n"
            'def greet(name):\n    print(f"Hello, {name}!")\n</parameter></function>'
        ),
    ]
    for kind, passed in (("text", [True] * 5), ("native", [True, False, False, False, False])):
        async with WireServer(written) as server:
            model = connect(server, "chat", profile={"tool_calls": kind})
            findings = await examine(model)
            await model.close()
            assert server.objections == []
        assert [finding.ok for finding in findings] == passed
        if kind == "native":
            assert findings[1].said.startswith("It called no tool but said: '<tool_call>")


async def test_a_probe_that_fails_is_a_finding_but_a_model_that_cannot_be_reached_is_an_error() -> None:
    refused = ScriptedError(status=400, message="tools are not supported")
    weak = [Turn(text="Ready."), Turn(error=refused), Turn(text="3"), Turn()]
    weak += [Turn(calls=[ScriptedCall(name="write_file", arguments_text='{"path": ')])]
    async with WireServer(weak) as server:
        model = connect(server, "chat")
        findings = await examine(model)
        await model.close()
    assert [finding.ok for finding in findings] == [True, False, False, False, False]
    assert "tools are not supported" in findings[1].said and "said: nothing" in findings[3].said
    assert 'write_file({"path": )' in findings[4].said
    async with WireServer([], key="other") as server:
        model = connect(server, "chat")
        with pytest.raises(AuthenticationFailed):
            await examine(model)
        await model.close()
