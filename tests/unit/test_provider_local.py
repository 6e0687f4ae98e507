"""What a local server says of a model, and what is made of it."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from wire import WireServer

from goose_py.protocol.messages import ModelRef
from goose_py.providers.catalogue import ProviderSettings, resolve
from goose_py.providers.local_server import FRESH, Servers, is_local, learned
from goose_py.providers.probe import FoundModel

OLLAMA = ModelRef(provider="ollama", model="m")
OWN = ModelRef(provider="mine", model="m")
COMPATIBLE = ProviderSettings(preset="openai-compatible", base_url="http://127.0.0.1:9/v1")


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.mark.parametrize(
    ("ref", "settings", "local"),
    [
        (OLLAMA, ProviderSettings(), True),
        (OLLAMA, ProviderSettings(base_url="http://gpu.example.org:11434"), False),
        (OWN, COMPATIBLE, True),
        (OWN, ProviderSettings(preset="openai-compatible", base_url="http://[::1]:8000/v1"), True),
        (OWN, ProviderSettings(preset="openai-compatible", base_url="https://api.example.org/v1"), False),
        (ModelRef(provider="anthropic", model="m"), ProviderSettings(base_url="http://127.0.0.1:9"), False),
        (ModelRef(provider="scripted", model="m"), ProviderSettings(), False),
        (ModelRef(provider="nobody", model="m"), ProviderSettings(), False),
    ],
)
def test_only_a_server_on_this_machine_is_asked(ref: ModelRef, settings: ProviderSettings, local: bool) -> None:
    assert is_local(ref, settings) is local


def test_what_a_server_says_counts_but_the_users_word_counts_for_more() -> None:
    found = FoundModel(name="m", context_window=8_192, tools=False, images=True)
    settings, warning = learned(OWN, COMPATIBLE, found)
    profile = resolve(OWN, settings)
    assert (profile.context_window, profile.tool_calls, profile.images, warning) == (8_192, "prompt", True, None)
    assert profile.max_output_tokens < profile.context_window

    own = msgspec.structs.replace(COMPATIBLE, models={"*": {"context_window": 4_096, "tool_calls": "native", "images": False}})
    settings, warning = learned(OWN, own, found)
    profile = resolve(OWN, settings)
    assert (profile.context_window, profile.tool_calls, profile.images, warning) == (4_096, "native", False, None)

    larger = msgspec.structs.replace(COMPATIBLE, models={"m": {"context_window": 100_000}})
    settings, warning = learned(OWN, larger, found)
    assert resolve(OWN, settings).context_window == 100_000 and warning and "100,000" in warning and "8,192" in warning


def test_a_server_that_says_nothing_changes_nothing() -> None:
    assert learned(OLLAMA, ProviderSettings(), FoundModel(name="m")) == (ProviderSettings(), None)


async def test_an_answer_is_remembered_for_a_while_and_used_when_the_server_is_silent(tmp_path: Path) -> None:
    clock = Clock()
    memory = tmp_path / "cache" / "servers.json"
    servers = Servers(memory, clock, patience=20)
    async with WireServer([], models={"m": {"model_info": {"x.context_length": 4_096}}}) as server:
        settings = ProviderSettings(base_url=server.url)
        assert await servers.ask(OLLAMA, settings) == FoundModel(name="m", context_window=4_096)
        await servers.ask(OLLAMA, settings)
        assert len(server.requests) == 1
        clock.time += FRESH + 1
        await Servers(memory, clock, patience=20).ask(OLLAMA, settings)
        assert len(server.requests) == 2
    clock.time += FRESH + 1
    stale = await servers.ask(OLLAMA, settings)
    assert stale == FoundModel(name="m", context_window=4_096), "the last word is better than none"
    assert await servers.ask(ModelRef(provider="ollama", model="other"), settings) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"x": {"at": "soon"}}', b"\xff"])
async def test_a_memory_that_is_damaged_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    memory = tmp_path / "servers.json"
    memory.write_bytes(damage)
    async with WireServer([], models={"m": {"capabilities": ["completion"]}}) as server:
        found = await Servers(memory, Clock()).ask(OLLAMA, ProviderSettings(base_url=server.url))
    assert found == FoundModel(name="m", tools=False, images=False)
    assert msgspec.json.decode(memory.read_bytes())


async def test_a_server_that_keeps_silent_does_not_hold_a_session_up(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    settings = ProviderSettings(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with asyncio.timeout(5):
        assert await Servers(tmp_path / "servers.json", Clock(), patience=0.2).ask(OLLAMA, settings) is None
    server.close()
