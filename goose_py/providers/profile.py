"""What an adapter and its callers need to know of one model, as one frozen value. Quirks are data here, never branches on
a model's name elsewhere."""

from typing import Any, Literal

import msgspec

from goose_py.protocol.messages import Effort, Usage

Protocol = Literal["anthropic", "responses", "chat", "ollama", "scripted"]
EFFORTS: tuple[Effort, ...] = ("off", "minimal", "low", "medium", "high", "max")


class LongPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request costs, as a whole, once its input is larger than `over` tokens."""

    over: int
    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars per million tokens. Cached tokens without a price of their own are charged as input. `as_of` (ISO date)
    and `source` say where the figures come from; a provider may have changed them since."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    long: LongPrice | None = None
    as_of: str = ""
    source: str = ""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds. `connect`: until the connection stands. `first_byte`: from the request to the first event of the answer.
    `idle`: between two events of any kind, keep-alives included. `stall`: between two events that carry content: a server
    that only keeps the line open is given up after it."""

    connect: float = 10.0
    first_byte: float = 120.0
    idle: float = 60.0
    stall: float = 300.0


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that an adapter needs of a provider and a model. The defaults are the safe ones of an unknown model.

    Transport and address
        `transport`: "http" speaks the protocol directly, "sdk" through the vendor's client named by `sdk`.
        `auth`: how the key travels: "bearer" (Authorization), "x-api-key", "api-key", "both" (bearer and x-api-key), "none".
        `headers` are sent with each request; `query` is appended to the address.
    Window and money
        `context_window` and `max_output_tokens` in tokens; `price` None where it is not known.
        `assumed`: the model is not in the catalogue and the figures are our guess.
    Abilities
        `efforts` maps our words for effort to the provider's: a word, a number of tokens, on or off, or (chat) the fields
        to add to the body; empty where the model has no such dial.
        `thinking`: how thinking is asked for: "adaptive" (Anthropic, with an effort), "budget" (Anthropic, tokens),
        "effort" (OpenAI's reasoning effort), "switch" (Ollama's `think`, a chat template's `enable_thinking`), "none".
        `images` and `images_in_results`: whether the model takes pictures from the user and from tools.
        `tool_calls`: "native"; "text" where the model may write calls into its answer instead; "prompt" where the server
        offers the model no tools at all and they must be described in words (see `text_calls`).
        `tool_set`: "full" or "small" (fewer, shorter tools for a small model). `edit_format`: the edit tool that the model
        was trained on.
    Quirks of chat servers
        `max_tokens_field`; `system_role`; `parallel_tool_calls` (whether the parameter may be sent); `stream_usage` (whether
        `stream_options` is understood); `reasoning_echo`: the field in which earlier reasoning must be sent back, or "";
        `thought_signatures`: Gemini's signature on tool calls; `cache`: "blocks" (Anthropic's markers), "key"
        (`prompt_cache_key`), "none"; `tool_ids`: alphabet of call ids ("any", "anthropic", "nine": nine letters or digits);
        `bridge_after_tools`: a user message may not follow tool results directly; `phase`: assistant texts carry a phase
        (Responses); `schemas`: "plain" where the server knows few keywords of JSON Schema; `extra_body` is added to
        every request.
    """

    provider: str
    model: str
    protocol: Protocol
    base_url: str = ""
    title: str = ""
    model_id: str = ""
    transport: Literal["http", "sdk"] = "http"
    sdk: str = ""
    auth: Literal["bearer", "x-api-key", "api-key", "both", "none"] = "bearer"
    key_env: tuple[str, ...] = ()
    needs_key: bool = True
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    timeouts: Timeouts = Timeouts()

    context_window: int = 32_768
    max_output_tokens: int = 8_192
    price: Price | None = None
    assumed: bool = False

    efforts: dict[str, str | int | bool | dict[str, Any]] = {}
    thinking: Literal["adaptive", "budget", "effort", "switch", "none"] = "none"
    images: bool = False
    images_in_results: bool = False
    temperature: bool = True
    tool_calls: Literal["native", "text", "prompt"] = "native"
    tool_set: Literal["full", "small"] = "full"
    edit_format: Literal["edit", "apply_patch"] = "edit"

    max_tokens_field: str = "max_tokens"
    system_role: Literal["system", "developer"] = "system"
    parallel_tool_calls: bool = False
    stream_usage: bool = True
    reasoning_echo: Literal["", "reasoning_content", "reasoning", "reasoning_details"] = ""
    thought_signatures: bool = False
    cache: Literal["blocks", "key", "none"] = "none"
    tool_ids: Literal["any", "anthropic", "nine"] = "any"
    bridge_after_tools: bool = False
    phase: bool = False
    schemas: Literal["full", "plain"] = "full"
    extra_body: dict[str, Any] = {}

    @property
    def wire_model(self) -> str:
        """The name that the provider's server knows the model by."""
        return self.model_id or self.model


def effort_value(profile: Profile, effort: Effort | None) -> str | int | bool | dict[str, Any] | None:
    """The provider's word for an effort; None where none is to be sent. An effort that the model does not know becomes the
    nearest one below it, else the nearest above."""
    if effort is None or not profile.efforts:
        return None
    wanted = EFFORTS.index(effort)
    for candidate in (*reversed(EFFORTS[: wanted + 1]), *EFFORTS[wanted + 1 :]):
        if candidate in profile.efforts and (candidate != "off" or effort == "off"):
            return profile.efforts[candidate]
    return None


def cost(usage: Usage, profile: Profile) -> float | None:
    """US dollars of one request's usage; None where the price is not known. Scripted and local models cost nothing only
    where their preset says so with a price of zero."""
    if profile.price is None:
        return None
    price: Price | LongPrice = profile.price
    if profile.price.long and usage.context_tokens - usage.output_tokens > profile.price.long.over:
        price = profile.price.long
    cache_read = price.input if price.cache_read is None else price.cache_read
    cache_write = price.input if price.cache_write is None else price.cache_write
    return (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + usage.cache_read_tokens * cache_read
        + usage.cache_write_tokens * cache_write
    ) / 1_000_000
