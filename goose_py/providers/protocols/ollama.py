"""Ollama's native chat: three pure mappings on the dicts of `POST /api/chat`, a stream of JSON lines.

Source: `docs/api.md` of Ollama. The native protocol and not its OpenAI one, because only here can the window be set: the
server's default of some thousand tokens cuts the front of a longer prompt away without a word.
"""

from typing import Any

from goose_py.protocol.deltas import ModelDelta, TextDelta, ThinkingDelta, ToolCallDelta
from goose_py.protocol.errors import ContextOverflow
from goose_py.protocol.messages import (
    AssistantMessage,
    Image,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    Usage,
)
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers.profile import Profile, effort_value
from goose_py.providers.protocols import assembly
from goose_py.providers.protocols.chat import tools

FRAMING = "ndjson"
PATH = "/api/chat"
HEADERS: dict[str, str] = {}
_IMAGE_TOKENS = 256  # the least of the usual vision models; more would refuse what fits
_STOPS: dict[str, StopReason] = {"stop": "end", "length": "length"}


def to_request(request: ModelRequest, profile: Profile) -> dict[str, Any]:
    """The JSON body. Raises `ContextOverflow` where the request, as we count it, exceeds the window: the server would
    cut it in silence."""
    needed = assembly.estimate_input(request, image=_IMAGE_TOKENS)
    if needed > profile.context_window:
        raise ContextOverflow(
            f"The request (about {needed:,} tokens) is larger than the window that Ollama is asked for "
            f"({profile.context_window:,} tokens).{_advice(profile)}",
            provider=profile.provider,
        )
    options: dict[str, Any] = {"num_ctx": profile.context_window, "num_predict": assembly.output_limit(request, profile)}
    options |= assembly.temperature(request, profile)
    body: dict[str, Any] = {"model": profile.wire_model, "stream": True, "options": options}
    if profile.thinking != "none" and (think := effort_value(profile, request.effort)) is not None:
        body["think"] = think
    body.update(profile.extra_body)
    if request.tools:
        body["tools"] = tools(request, profile)
    body["messages"] = _messages(request, profile)
    return body


def _messages(request: ModelRequest, profile: Profile) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    names = {call.id: call.name for message in request.messages for call in assembly.calls_of(message)}
    for message in assembly.merged_users(request.messages):
        if isinstance(message, AssistantMessage):
            messages += _assistant(message)
        elif isinstance(message, ToolMessage):
            for result in message.results:
                entry = {"role": "tool", "content": assembly.user_text(result), "tool_name": names.get(result.call_id, "")}
                messages.append(entry | _images(result.content, profile))
        else:
            text = "\n\n".join(part.text for part in message.parts if isinstance(part, Text))
            messages.append({"role": "user", "content": text} | _images(message.parts, profile))
    return messages


def _assistant(message: AssistantMessage) -> list[dict[str, Any]]:
    calls = [{"function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls()]
    if not message.text().strip() and not calls:
        return []
    entry: dict[str, Any] = {"role": "assistant", "content": message.text()}
    if calls:
        entry["tool_calls"] = calls
        if thoughts := "".join(part.text for part in message.parts if isinstance(part, Thinking)):
            entry["thinking"] = thoughts
    return [entry]


def _images(parts: tuple[Text | Image, ...], profile: Profile) -> dict[str, Any]:
    data = [part.data for part in parts if isinstance(part, Image)] if profile.images else []
    return {"images": data} if data else {}


def _advice(profile: Profile) -> str:
    return (
        f" Give the model a larger window (models.\"{profile.model}\".context_window in the provider's settings, as far as "
        "memory allows), offer fewer tools, or compact the conversation."
    )


class Reader(assembly.Reader):
    """Calls arrive whole and without ids."""

    def __init__(self, request: ModelRequest, profile: Profile) -> None:
        super().__init__(request, profile)
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._end: dict[str, Any] = {}

    def feed(self, event: dict[str, Any]) -> list[ModelDelta]:
        if event.get("error"):
            raise self._failed(event)
        message = event.get("message") or {}
        deltas: list[ModelDelta] = []
        if thought := message.get("thinking"):
            self._thoughts.append(thought)
            deltas.append(ThinkingDelta(thought))
        if text := message.get("content"):
            self._texts.append(text)
            deltas.append(TextDelta(text))
        for call in message.get("tool_calls") or ():
            function = call["function"]
            self._calls.append(function)
            deltas.append(ToolCallDelta(name=function["name"], size=len(str(function.get("arguments") or ""))))
        self._size += sum(delta.size if isinstance(delta, ToolCallDelta) else len(delta.text) for delta in deltas)
        if event.get("done"):
            self._end = event
            self.done = True
        return deltas

    def finish(self) -> ModelReply:
        if not self.done:
            raise self._interrupted("the last line was not received")
        if self._end.get("done_reason") in ("load", "unload"):
            raise self._interrupted("the model was loaded or unloaded and said nothing")
        reported = usage(self._end)
        self._refuse_a_cut_prompt(reported)
        parts: list[assembly.Part] = []
        if self._thoughts:
            parts.append(Thinking(text="".join(self._thoughts)))
        if self._texts:
            parts.append(Text("".join(self._texts)))
        parts += [self._call(function) for function in self._calls]
        stop = _STOPS.get(self._end.get("done_reason") or "stop", "end")
        return self._reply(parts, stop, reported)

    def _call(self, function: dict[str, Any]) -> ToolCall:
        arguments, malformed = function.get("arguments"), None
        if isinstance(arguments, str):
            arguments, malformed = assembly.parse_arguments(arguments)
        elif not isinstance(arguments, dict | None):
            arguments, malformed = {}, str(arguments)
        return ToolCall(id=self._ids.take(None), name=function["name"], arguments=arguments or {}, malformed=malformed)

    def _refuse_a_cut_prompt(self, reported: Usage | None) -> None:
        """The server says how many tokens it read. Clearly less than the words that were sent cannot be the whole."""
        sent = assembly.estimate_input(self._request, image=_IMAGE_TOKENS)
        read = reported.input_tokens if reported else 0
        if read and read < 0.9 * assembly.least_tokens(self._request):
            raise ContextOverflow(
                f"Ollama read only {read:,} of about {sent:,} tokens: it cut the prompt, so that its answer cannot be "
                f"trusted.{_advice(self._profile)}",
                provider=self._profile.provider,
            )


def usage(reported: dict[str, Any]) -> Usage | None:
    """A prompt that is wholly cached is reported without its count by older servers: then we estimate."""
    if not reported.get("prompt_eval_count"):
        return None
    return assembly.checked_usage(total_input=reported["prompt_eval_count"], output=reported.get("eval_count"))
