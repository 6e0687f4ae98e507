"""The same tools in process, over stdio and over streamable HTTP, with the official SDK on the other side."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from servers.good import create
from servers.toolboxes import ENVIRONMENT, PATIENCE, Watched, bad, words
from starlette.types import ASGIApp, Receive, Scope, Send

from goose_py.toolbox import Answer, ExtensionSpec, InProcess, Places, Question, Stdio, StreamableHttp

GOOD = Path(__file__).parent.parent / "servers" / "good.py"


class Recorded:
    """An ASGI application that remembers the headers of its requests and can refuse them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.headers: list[dict[str, str]] = []
        self.refuse = 0
        self.giant = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.headers.append({key.decode(): value.decode() for key, value in scope["headers"]})
        if scope["type"] == "http" and (self.refuse or self.giant):
            status = self.refuse or 200
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
            for _ in range(50 if self.giant else 0):
                await send({"type": "http.response.body", "body": self.giant, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)


@contextlib.asynccontextmanager
async def serving(port: int = 0, **options: bool) -> AsyncIterator[tuple[str, Recorded]]:
    """A server on a loopback port, 0 for any. It can be connected to at once: the socket listens already."""
    app = Recorded(create().streamable_http_app(**options))
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", app
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def extension(kind: str, **fields: object) -> AsyncIterator[ExtensionSpec]:
    if kind == "in-process":
        yield InProcess(name="good", server=create(), **fields)
    elif kind == "stdio":
        yield Stdio(name="good", cmd=sys.executable, args=(str(GOOD),), **fields)
    else:
        async with serving(json_response=kind == "http-json", stateless_http=kind == "http-stateless") as (uri, _):
            yield StreamableHttp(name="good", uri=uri, **fields)


KINDS = ["in-process", "stdio", "http", "http-json", "http-stateless"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_tool_is_called_with_its_progress_its_error_and_structured_result(kind: str, tmp_path: Path) -> None:
    async with extension(kind) as spec, Watched([spec], tmp_path) as watched:
        assert "good__echo" in await watched.settled()
        said: list[str] = []
        assert await watched.text("good__echo", text="hé\u2028llo") == "hé\u2028llo"
        assert words(await watched.call("good__steps", said.append, count=3)) == "done"
        assert said == ([] if kind == "http-json" else ["step 1\n", "step 2\n", "step 3\n"]), "JSON has no room for progress"
        failed = await watched.call("good__fail")
        assert (failed.is_error, words(failed)) == (True, "Error executing tool fail: no such thing")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_can_be_cancelled_and_a_hanging_one_ends(kind: str, tmp_path: Path) -> None:
    async with extension(kind, timeout=0.5) as spec, Watched([spec], tmp_path) as watched:
        await watched.settled()
        assert "gave no sign of life for 0.5 s" in words(await watched.call("good__hang"))
        hanging = asyncio.create_task(watched.call("good__hang"))
        assert await watched.text("good__echo", text="meanwhile") == "meanwhile"
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        if kind != "http-json":  # the SDK's server does not see that the other side hangs up while it owes a JSON body
            async with asyncio.timeout(PATIENCE):
                while (await watched.text("good__was_cancelled")).count("hang") < 2:
                    pass
        assert [change.state for change in watched.changes] == ["ready"]


@pytest.mark.parametrize("kind", ["in-process", "stdio", "http"])
async def test_a_question_of_the_server_is_put_to_the_user_with_defaults_filled_in(kind: str, tmp_path: Path) -> None:
    asked: list[Question] = []

    async def answer(question: Question) -> Answer:
        asked.append(question)
        return Answer(action="accept", content={"sure": True})

    async with extension(kind) as spec, Watched([spec], tmp_path, ask=answer) as watched:
        await watched.settled()
        assert await watched.text("good__remove", path="a.txt") == "deleted a.txt: none given"
    assert (asked[0].extension, asked[0].message) == ("good", "Delete a.txt?")
    assert set(asked[0].schema["properties"]) == {"sure", "reason"}


@pytest.mark.parametrize("kind", ["in-process", "stdio", "http"])
async def test_without_anybody_to_ask_a_question_is_declined(kind: str, tmp_path: Path) -> None:
    async with extension(kind) as spec, Watched([spec], tmp_path) as watched:
        await watched.settled()
        assert await watched.text("good__remove", path="a.txt") == "kept a.txt"


async def test_an_older_server_asks_too_and_the_time_of_the_answer_does_not_count(tmp_path: Path) -> None:
    asked = asyncio.Event()
    may_answer = asyncio.Event()

    async def answer(question: Question) -> Answer:
        asked.set()
        await may_answer.wait()
        return Answer(action="accept", content={"name": "Ada"})

    async with Watched([bad("asks", timeout=0.4)], tmp_path, ask=answer) as watched:
        await watched.settled()
        calling = asyncio.create_task(watched.text("asks__ask"))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        done, _ = await asyncio.wait([calling], timeout=1.0)
        assert not done, "the call's 0.4 s do not run while a person is asked"
        may_answer.set()
        reply = json.loads(await calling)
    assert reply == {"action": "accept", "content": {"name": "Ada", "colour": "green"}}


async def test_a_server_may_not_spend_the_users_tokens(tmp_path: Path) -> None:
    async with Watched([bad("asks")], tmp_path) as watched:
        await watched.settled()
        assert json.loads(await watched.text("asks__sample"))["message"] == "Sampling not supported"


async def test_the_servers_root_is_the_workspace(tmp_path: Path) -> None:
    async with Watched([bad()], tmp_path) as watched:
        await watched.settled()
        roots = json.loads(await watched.text("good__roots"))["roots"]
    assert roots == [{"uri": tmp_path.as_uri(), "name": "workspace"}]


@pytest.mark.case("U02")
async def test_a_server_is_told_the_workspace_as_it_is_called_where_it_runs(tmp_path: Path) -> None:
    async with Watched([bad()], tmp_path, host={"shown": Path("/seen/here")}) as watched:
        await watched.settled()
        roots = json.loads(await watched.text("good__roots"))["roots"]
    assert roots == [{"uri": "file:///seen/here", "name": "workspace"}]


async def test_content_of_every_kind_arrives(tmp_path: Path) -> None:
    async with Watched([bad("kinds")], tmp_path, places=Places(results=tmp_path / "results")) as watched:
        await watched.settled()
        result = await watched.call("kinds__kinds")
        text = words(result)
        assert text.startswith("first\n[audio: audio/wav, ")
        assert "[resource file:///a.txt]\ninside\n[resource file:///a.pdf: application/pdf, " in text
        assert text.endswith("[resource b: file:///b.txt]")
        assert [part.media_type for part in result.content[1:]] == ["image/png"]
        assert await watched.text("kinds__structured") == '{\n "answer": 42\n}'
        assert await watched.text("kinds__empty") == "(no output)"
        assert "an image that cannot be shown" in await watched.text("kinds__broken_image")
        assert len(await watched.text("kinds__long")) < 33_000


# What only HTTP has


async def test_headers_are_sent_with_their_secrets_filled_in_and_nothing_else_of_the_environment(tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer $TOKEN", "X-Team": "${TEAM}-a"}
    host = {"secret": {"TOKEN": "s3cret"}.get, "environment": {**ENVIRONMENT, "OTHER": "x"}}
    async with serving() as (uri, app):
        spec = StreamableHttp(name="web", uri=uri, headers=headers, env={"TEAM": "blue"}, env_keys=("TOKEN",))
        async with Watched([spec], tmp_path, host=host) as watched:
            await watched.settled()
            assert await watched.text("web__echo", text="x") == "x"
    assert app.headers
    for sent in app.headers:
        assert sent["authorization"] == "Bearer s3cret"
        assert sent["x-team"] == "blue-a"
        assert sent["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"env_keys": ("TOKEN",)}, "it needs TOKEN: set it in the environment, or with `goose-py configure`"),
        ({"headers": {"A": "$OTHER"}}, "its settings use $OTHER, which is neither in its env nor one of its env_keys"),
    ],
)
async def test_a_missing_secret_is_named(fields: dict[str, object], reason: str, tmp_path: Path) -> None:
    spec = StreamableHttp(name="web", uri="http://127.0.0.1:9/mcp", **fields)
    async with Watched([spec], tmp_path) as watched:
        assert (await watched.state("web", "failed")).detail == reason


async def test_an_address_where_nobody_listens_is_a_failed_extension(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        spec = StreamableHttp(name="web", uri=f"http://127.0.0.1:{unused.getsockname()[1]}/mcp")
        async with Watched([spec, bad()], tmp_path) as watched:
            assert "good__echo" in await watched.settled()
            assert (await watched.state("web", "failed")).detail == "All connection attempts failed"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "the server refuses access (HTTP 401): check the extension's headers and keys"),
        (500, "HTTP 500: Server returned an error response"),
    ],
)
async def test_a_refusal_is_told_with_its_status(status: int, reason: str, tmp_path: Path) -> None:
    async with serving() as (uri, app):
        app.refuse = status
        async with Watched([StreamableHttp(name="web", uri=uri)], tmp_path) as watched:
            assert (await watched.state("web", "failed")).detail == reason


async def test_a_server_that_goes_away_and_comes_back_is_reached_again(tmp_path: Path) -> None:
    async with serving() as (uri, _):
        watched = Watched([StreamableHttp(name="web", uri=uri)], tmp_path)
        await watched.__aenter__()
        await watched.settled()
        assert await watched.text("web__echo", text="x") == "x"
    try:
        lost = await watched.call("web__echo", text="y")
        assert lost.is_error
        assert "it was not sent again" in words(lost)
        await watched.told(lambda change: change.state == "failed" and "started again" not in change.detail)
        async with serving(int(uri.split(":")[2].removesuffix("/mcp"))):
            watched.toolbox.restart("web")
            await watched.state("web", "restarted")
            assert await watched.text("web__echo", text="back") == "back"
    finally:
        await watched.toolbox.close()


@pytest.mark.case("R23")
@pytest.mark.parametrize("kind", ["http", "http-json"])
async def test_a_giant_answer_over_http_is_not_read(kind: str, tmp_path: Path) -> None:
    async with extension(kind) as spec, Watched([spec], tmp_path) as watched:
        await watched.settled()
        result = await watched.call("good__big", megabytes=20)
        assert result.is_error
        assert "8388608" in words(result)
        assert await watched.text("good__echo", text="after") == "after"


async def test_an_endless_answer_to_the_first_request_is_a_failed_extension(tmp_path: Path) -> None:
    async with serving() as (uri, app):
        app.giant = b"x" * 1_048_576
        async with Watched([StreamableHttp(name="web", uri=uri)], tmp_path) as watched:
            assert "longer than 8388608 bytes" in (await watched.state("web", "failed")).detail
