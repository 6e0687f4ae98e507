"""A loopback server that speaks Anthropic Messages, OpenAI Responses, OpenAI Chat Completions and Ollama's chat, and answers
from a script of the scripted provider. It is as strict as the real ones about what it is sent, and it can break off at any
byte.

    async with WireServer(script) as server:
        settings = ProviderSettings(base_url=server.base_url("anthropic"), api_key="secret")

As a process of its own: `python -m wire --script FILE [--port N]` (with `tests` on the path); it prints one JSON line with its
addresses and runs until its standard input closes or it is terminated.
"""

from wire.server import PROTOCOLS, Recorded, WireServer

__all__ = ["PROTOCOLS", "Recorded", "WireServer"]
