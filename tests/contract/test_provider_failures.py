"""What goes wrong between us and a provider: each failure as one typed error with one clear line, and what is tried again."""

import asyncio
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from wire import WireServer
from wire.client import ALL_ROADS, KEY, PRESETS, ROADS, ask, asking, connect

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
from goose_py.protocol.messages import ModelRef
from goose_py.providers import ProviderSettings, open_model
from goose_py.providers.retry import Retrying, RetryPolicy
from goose_py.providers.scripted import ScriptedError, Turn

all_roads = pytest.mark.parametrize(("protocol", "transport"), ALL_ROADS)
roads = pytest.mark.parametrize(("protocol", "transport"), ROADS)


def failing(status: int, message: str = "no", **fields: object) -> Turn:
    return Turn(error=ScriptedError(status=status, message=message, **fields))


async def failure(protocol: str, transport: str, turn: Turn, **settings: object) -> ModelError:
    async with WireServer([turn]) as server:
        model = connect(server, protocol, transport, **settings)
        with pytest.raises(ModelError) as caught:
            await ask(model, asking())
        await model.close()
        assert len(server.requests) == 1, "neither the SDK nor the transport repeats a request"
    return caught.value


class Waits:
    """A clock that stands still and a sleep that only writes down what it was asked for."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.told: list[tuple[int, float, str]] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def on_retry(self, attempt: int, delay: float, reason: str) -> None:
        self.told.append((attempt, delay, reason))

    def around(self, model, **fields: object) -> Retrying:
        return Retrying(model, on_retry=self.on_retry, sleep=self.sleep, random=lambda: 0.5, **fields)


@pytest.mark.case("R01")
@all_roads
@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "2"}, 2.0, 2.2),
        ({"Retry-After": "DATE"}, 1.0, 33.0),  # an SDK may take its time to load
        ({"retry-after-ms": "1500"}, 1.5, 1.65),
        ({}, 0.5, 1.0),
        ({"Retry-After": "soon"}, 0.5, 1.0),
    ],
    ids=["seconds", "date", "milliseconds", "none", "unreadable"],
)
async def test_after_a_429_the_wait_is_as_long_as_the_server_says(
    protocol: str, transport: str, headers: dict, least: float, most: float
) -> None:
    if headers.get("Retry-After") == "DATE":
        headers = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)}
    waits = Waits()
    async with WireServer([failing(429, "slow down", headers=headers), Turn(text="here")]) as server:
        model = waits.around(connect(server, protocol, transport))
        _, reply = await ask(model, asking())
        await model.close()
    assert reply.message.text() == "here"
    assert len(waits.slept) == 1 and least <= waits.slept[0] <= most
    ((attempt, delay, reason),) = waits.told
    assert attempt == 1 and delay == waits.slept[0] and "slow down" in reason and "429" in reason


@pytest.mark.case("R01")
async def test_a_wait_longer_than_the_cap_is_refused_and_the_cap_is_shown() -> None:
    waits = Waits()
    async with WireServer([failing(429, "come back tomorrow", retry_after=86_400)]) as server:
        model = waits.around(connect(server, "anthropic"))
        with pytest.raises(RateLimited, match=r"asks to wait 86,400 s; at most 600 s are waited for"):
            await ask(model, asking())
        await model.close()
    assert waits.slept == []


@pytest.mark.case("R01")
async def test_a_wait_ends_at_once_when_its_task_is_cancelled() -> None:
    told = asyncio.Event()
    async with WireServer([failing(429, retry_after=300), Turn(text="too late")]) as server:
        model = Retrying(connect(server, "chat"), on_retry=lambda *_: told.set())
        running = asyncio.create_task(ask(model, asking()))
        async with asyncio.timeout(10):
            await told.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        await model.close()
    assert len(server.requests) == 1


@pytest.mark.case("R02")
@all_roads
@pytest.mark.parametrize("turn", [failing(500), failing(503), failing(529), failing(408), Turn(wire={"drop": True})])
async def test_two_passing_failures_are_repeated_with_growing_waits(protocol: str, transport: str, turn: Turn) -> None:
    waits = Waits()
    async with WireServer([turn, turn, Turn(text="at last")]) as server:
        model = waits.around(connect(server, protocol, transport))
        _, reply = await ask(model, asking())
        await model.close()
    assert reply.message.text() == "at last" and len(server.requests) == 3
    assert waits.slept == [0.75, 1.5]
    assert [attempt for attempt, _, _ in waits.told] == [1, 2]


@pytest.mark.case("R02")
@roads
async def test_a_reset_connection_is_repeated(protocol: str, transport: str) -> None:
    waits = Waits()
    async with WireServer([Turn(wire={"drop": True, "reset": True}), Turn(text="at last")]) as server:
        model = waits.around(connect(server, protocol, transport))
        _, reply = await ask(model, asking())
        await model.close()
    assert reply.message.text() == "at last" and len(waits.slept) == 1


@pytest.mark.case("R02")
async def test_ten_failures_end_after_the_bounded_number_of_tries_and_say_so() -> None:
    waits = Waits()
    async with WireServer([failing(503, "down for maintenance")] * 10) as server:
        model = waits.around(connect(server, "anthropic"))
        with pytest.raises(ProviderUnavailable, match=r"down for maintenance.*Given up after 8 tries"):
            await ask(model, asking())
        await model.close()
    assert len(server.requests) == 8 and len(waits.told) == 7
    assert waits.slept == sorted(waits.slept) and waits.slept[-1] <= 60


async def test_the_budget_of_waiting_ends_the_tries_too() -> None:
    waits = Waits()
    policy = RetryPolicy(budget=5.0)
    async with WireServer([failing(503)] * 10) as server:
        model = waits.around(connect(server, "chat"), policy=policy)
        with pytest.raises(ProviderUnavailable, match="exceed the 5 s"):
            await ask(model, asking())
        await model.close()
    assert sum(waits.slept) <= 5


@pytest.mark.case("R03")
@all_roads
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRejected),
        (401, AuthenticationFailed),
        (402, QuotaExceeded),
        (403, AuthenticationFailed),
        (404, RequestRejected),
        (413, RequestRejected),
        (422, RequestRejected),
    ],
)
@pytest.mark.parametrize("html", [False, True])
async def test_a_permanent_refusal_is_one_clear_line_and_not_repeated(
    protocol: str, transport: str, status: int, kind: type, html: bool
) -> None:
    said = f"The key {KEY} is\n no \x1b[31mgood\u202e [/] here"
    body = f"<html><head><title>{said}</title></head><body><h1>nginx</h1></body></html>" if html else None
    waits = Waits()
    async with WireServer([failing(status, said, body=body)]) as server:
        model = waits.around(connect(server, protocol, transport))
        with pytest.raises(kind) as caught:
            await ask(model, asking())
        await model.close()
    line = str(caught.value)
    assert waits.slept == [] and len(server.requests) == 1
    assert caught.value.status == status and caught.value.provider == PRESETS[protocol][0]
    assert "The key [key] is no \\u{1b}[31mgood\\u{202e} [/] here" in line
    assert KEY not in line and "\n" not in line and "\x1b" not in line and "<" not in line


OVERFLOWS = [
    ("Anthropic", 400, "invalid_request_error", "prompt is too long: 218849 tokens > 200000 maximum"),
    ("Anthropic", 413, "request_too_large", "Request exceeds the maximum size"),
    ("OpenAI", 400, "context_length_exceeded", "Your input exceeds the context window of this model."),
    ("OpenAI chat", 400, "", "This model's maximum context length is 128000 tokens. However, you sent 130000."),
    ("Gemini", 400, "", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    ("xAI", 400, "", "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    ("Groq", 400, "", "Please reduce the length of the messages or completion."),
    ("Mistral", 400, "", "Prompt contains 200000 tokens, too large for model with 131072 maximum context length"),
    ("Moonshot", 400, "", "Invalid request: Your request exceeded model token limit: 262144"),
    ("DashScope", 400, "", "Range of input length should be [1, 129024]"),
    ("llama.cpp", 400, "exceed_context_size_error", "the request exceeds the available context size, try increasing it"),
    ("LM Studio", 400, "", "The number of tokens to keep from the initial prompt is greater than the context length"),
    ("Bedrock", 400, "", "Input is too long for requested model."),
    ("MiniMax", 400, "", "invalid params, context window exceeds limit (2013)"),
]  # fmt: skip


@pytest.mark.parametrize(("vendor", "status", "code", "message"), OVERFLOWS, ids=[entry[0] for entry in OVERFLOWS])
async def test_too_long_a_request_is_recognised_in_the_words_of_each_vendor(
    vendor: str, status: int, code: str, message: str
) -> None:
    error = await failure("chat", "http", failing(status, message, code=code))
    assert type(error) is ContextOverflow and message[:40] in str(error)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details."),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        (402, "", "Insufficient Balance"),
        (429, "1113", "余额不足或无可用资源包,请充值。"),
        (403, "", "Your account is in arrears"),
        (429, "exceeded_current_quota_error", "Your account is suspended"),
    ],
)
async def test_an_empty_purse_is_not_taken_for_a_rate_limit(status: int, code: str, message: str) -> None:
    waits = Waits()
    async with WireServer([failing(status, message, code=code)]) as server:
        model = waits.around(connect(server, "chat"))
        with pytest.raises(QuotaExceeded):
            await ask(model, asking())
        await model.close()
    assert waits.slept == []


@pytest.mark.parametrize(
    ("protocol", "event", "kind"),
    [
        ("anthropic", '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', ProviderUnavailable),
        ("anthropic", '{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}', RateLimited),
        ("responses", '{"type":"error","code":"rate_limit_exceeded","message":"slow"}', RateLimited),
        (
            "responses",
            '{"type":"response.failed","response":{"error":{"code":"server_error","message":"x"}}}',
            ProviderUnavailable,
        ),
        (
            "responses",
            '{"type":"response.failed","response":{"error":{"code":"context_length_exceeded","message":"x"}}}',
            ContextOverflow,
        ),
        ("chat", '{"error":{"code":502,"message":"Provider returned error"},"choices":[]}', ProviderUnavailable),
        ("chat", '{"error":{"message":"maximum context length is 8192","type":"BadRequest","code":400}}', ContextOverflow),
        ("chat", '{"error":"something broke"}', ProviderUnavailable),
        ("ollama", '{"error":"llama runner process has terminated"}', ProviderUnavailable),
    ],
)
async def test_an_error_within_the_stream_has_its_type(protocol: str, event: str, kind: type) -> None:
    insert = event + "\n" if protocol == "ollama" else event
    turn = Turn(text="partial answer", chunk=4, wire={"insert": insert, "insert_after": 2})
    error = await failure(protocol, "http", turn)
    assert type(error) is kind


@roads
async def test_a_reply_cut_in_the_middle_begins_anew_and_its_consumer_is_told(protocol: str, transport: str) -> None:
    waits = Waits()
    cut = Turn(text="The answer is fourt", chunk=4, error=ScriptedError(cut=True))
    async with WireServer([cut, Turn(text="The answer is 42.", chunk=4)]) as server:
        model = waits.around(connect(server, protocol, transport))
        shown, texts = "", []
        async for item in model.stream(asking()):
            if len(waits.told) > len(texts):
                texts.append(shown)
                shown = ""
            shown += getattr(item, "text", "") if not hasattr(item, "message") else ""
            reply = item
        await model.close()
    assert texts == ["The answer is fourt"] and shown == "The answer is 42."
    assert reply.message.text() == "The answer is 42."


@pytest.mark.case("R16")
async def test_a_stalled_stream_is_asked_again() -> None:
    waits = Waits()
    async with WireServer([Turn(text="hm", wire={"stall_events": 3}), Turn(text="awake")]) as server:
        model = waits.around(connect(server, "anthropic", timeouts={"idle": 0.2}))
        _, reply = await ask(model, asking())
        await model.close()
    assert reply.message.text() == "awake" and "nothing came for 0.2 s" in waits.told[0][2]


@pytest.mark.case("R04")
@all_roads
async def test_a_closed_port_is_named_and_tried_again(protocol: str, transport: str) -> None:
    async with WireServer([]) as server:
        model = connect(server, protocol, transport)
        place = f"127.0.0.1:{server.port}"
    waits = Waits()
    with pytest.raises(ProviderUnavailable) as caught:
        await ask(waits.around(model, policy=RetryPolicy(attempts=3)), asking())
    await model.close()
    assert place in str(caught.value) and "connection refused" in str(caught.value) and len(waits.slept) == 2


def unreachable(base_url: str, transport: str, **settings: object):
    return open_model(
        ModelRef(provider="anthropic", model="claude-sonnet-5"),
        ProviderSettings(base_url=base_url, api_key=KEY, transport=transport, **settings),
        now=time.time,
    )


@pytest.mark.case("R04")
@pytest.mark.parametrize("transport", ["http", "sdk"])
async def test_an_unknown_host_is_named(transport: str) -> None:
    model = unreachable("http://no-such-host.invalid:8080", transport)
    with pytest.raises((EndpointUnreachable, ProviderUnavailable)) as caught:
        await ask(model, asking())
    await model.close()
    assert "no-such-host.invalid:8080" in str(caught.value) and KEY not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, with its key, in one file."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    start = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    path = tmp_path_factory.mktemp("tls") / "self-signed.pem"
    path.write_bytes(pem)
    return path


@pytest.mark.case("R04")
@pytest.mark.parametrize("transport", ["http", "sdk"])
async def test_a_certificate_that_is_not_trusted_is_named_with_the_remedy_and_not_tried_again(
    transport: str, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    waits = Waits()
    async with WireServer([Turn(text="trusted")], tls=context) as server:
        model = unreachable(server.url, transport)
        with pytest.raises(EndpointUnreachable) as caught:
            await ask(waits.around(model), asking())
        await model.close()
        line = str(caught.value)
        assert f"127.0.0.1:{server.port}" in line and "does not trust" in line and "CA file" in line
        trusting = unreachable(server.url, transport, ca_file=str(certificate))
        _, reply = await ask(trusting, asking())
        await trusting.close()
    assert reply.message.text() == "trusted" and waits.slept == []


@pytest.mark.case("R04")
@pytest.mark.parametrize("transport", ["http", "sdk"])
async def test_a_handshake_that_breaks_off_may_be_tried_again(transport: str) -> None:

    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        model = unreachable(f"https://{place}", transport)
        with pytest.raises(ModelError) as caught:
            await ask(model, asking())
        await model.close()
    assert caught.value.transient and place in str(caught.value)


@pytest.mark.case("R04")
@pytest.mark.parametrize("transport", ["http", "sdk"])
async def test_a_proxy_that_refuses_is_named(transport: str) -> None:
    async with WireServer([]) as proxy:
        model = unreachable("https://api.example.invalid", transport, proxy=proxy.url)
        with pytest.raises(EndpointUnreachable, match=r"proxy on the way to api\.example\.invalid failed: 404"):
            await ask(model, asking())
        await model.close()


@pytest.mark.parametrize("transport", ["http", "sdk"])
async def test_a_server_on_this_machine_is_not_asked_through_the_proxy(transport: str) -> None:
    async with WireServer([Turn(text="direct")]) as server, WireServer([]) as proxy:
        model = unreachable(server.url, transport, proxy=proxy.url)
        _, reply = await ask(model, asking())
        await model.close()
    assert reply.message.text() == "direct" and proxy.connections == 0


@pytest.mark.parametrize("transport", ["http", "sdk"])
async def test_an_interruption_says_whether_text_had_been_shown(transport: str) -> None:
    for text, emitted in (("some words", True), ("", False)):
        error = await failure("anthropic", transport, Turn(text=text, error=ScriptedError(cut=True)))
        assert isinstance(error, StreamInterrupted) and error.emitted is emitted


async def test_a_model_that_the_provider_does_not_know_brings_the_nearest_known_names() -> None:
    async with WireServer([failing(404, "model: claude-sonet-5")]) as server:
        settings = ProviderSettings(base_url=server.url, api_key=KEY)
        model = open_model(ModelRef(provider="anthropic", model="claude-sonet-5"), settings, now=time.time)
        with pytest.raises(RequestRejected, match=r"Did you mean .*claude-sonnet-5"):
            await ask(model, asking())
        await model.close()
