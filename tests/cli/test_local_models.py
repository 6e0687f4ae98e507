"""Models on the user's own machine, by the real command: windows that are too small, prompts that are cut in silence, calls
that are printed as text; and what `models` and `doctor` say of them."""

import json
from contextlib import asynccontextmanager

import pytest
from command import calls
from wire import WireServer

from goose_py.protocol import events as ev
from goose_py.providers.scripted import parse_script
from goose_py.session.log import read_log

DONE = [{"text": "Done."}] * 6
GREETING = 'def greet(name):\n    print(f"Hello, {name}!")\n'
ABLE = [
    {"text": "ready"},
    calls(("add", {"a": 17, "b": 25})),
    calls(("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})),
    calls(("add", {"a": 17, "b": 25})),
    {"text": "4242"},
    calls(("write_file", {"path": "greet.py", "content": GREETING})),
]
"""A model that passes each of the five probes; the fourth takes two replies."""


@asynccontextmanager
async def ollama(user, turns, *, window=32768, able=("completion", "tools"), parameters="", model="local-model", config=""):
    """A server as Ollama is one: it says what its models can do."""
    shown = {"model_info": {"llama.context_length": window}, "capabilities": list(able), "parameters": parameters}
    script = parse_script(json.dumps({"version": 1, "turns": turns}).encode(), "turns", json=True)
    async with WireServer(script, models={model: shown}) as server:
        user.configure(f'provider = "ollama"\nmodel = "{model}"\n{config}\n[providers.ollama]\nbase_url = "{server.url}"\n')
        yield server


def asked(server):
    return [request for request in server.requests if request.protocol]


def questions(server):
    return [request.path for request in server.requests if not request.protocol]


def events(user, task_id):
    return [record.event for record in read_log(user.state / "tasks" / task_id).records]


async def run(user, *flags, text="Do it"):
    ended = await user.goose("run", "-t", text, "--output-format", "json", *flags)
    assert "Traceback" not in ended.err
    return ended


@pytest.mark.case("U28")
async def test_the_window_is_asked_for_set_explicitly_and_remembered(user):
    async with ollama(user, DONE, window=16384) as server:
        assert (await run(user)).code == 0
        assert asked(server)[0].body["options"]["num_ctx"] == 16384
        assert questions(server) == ["/api/show"], "asked once"
        assert (await run(user)).code == 0
        assert questions(server) == ["/api/show"], "and then remembered for a while"


@pytest.mark.case("U28")
@pytest.mark.parametrize(
    ("window", "parameters", "config", "asked_for"),
    [
        (262144, "", "", 32768),
        (262144, "num_ctx                        65536\nstop \"<|im_end|>\"", "", 65536),
        (262144, "", '[models."ollama/local-model"]\ncontext_window = 50000\n', 50000),
    ],
    ids=["what memory usually allows", "what the model file chooses", "what the user sets"],
)
async def test_a_large_window_is_used_as_far_as_somebody_chose_it(user, window, parameters, config, asked_for):
    async with ollama(user, DONE, window=window, parameters=parameters, config=config) as server:
        assert (await run(user)).code == 0
        assert asked(server)[0].body["options"]["num_ctx"] == asked_for


@pytest.mark.case("U28")
async def test_a_window_that_system_prompt_and_tools_fill_is_said_before_the_first_request_with_the_remedy(user):
    async with ollama(user, DONE, window=1900):
        ended = await run(user)
    kinds = [type(event).__name__ for event in events(user, ended.json["session_id"])]
    warned = next(warning for warning in ended.json["warnings"] if "window of local-model" in warning)
    assert 'models."ollama/local-model".context_window' in warned and "fewer extensions" in warned
    assert kinds.index("Warned") < kinds.index("TurnStarted")


@pytest.mark.case("U28")
async def test_a_window_in_which_nothing_fits_ends_in_a_sentence_and_nothing_is_sent_to_be_cut(user):
    async with ollama(user, DONE, window=512) as server:
        ended = await run(user)
    assert ended.code == 5 and "larger than the window that Ollama is asked for" in ended.json["detail"]
    assert "context_window" in ended.json["detail"] and asked(server) == []


@pytest.mark.case("U28")
async def test_a_prompt_that_the_server_cut_all_the_same_is_noticed_and_its_answer_is_not_believed(user):
    wire = {"usage": {"prompt_eval_count": 60, "eval_count": 5}}
    cut = {**calls(("shell", {"command": "touch believed"})), "wire": wire, "repeat": 0}
    async with ollama(user, [cut]):
        ended = await run(user)
    assert ended.code == 5 and "it cut the prompt" in ended.json["detail"] and "context_window" in ended.json["detail"]
    assert [event for event in events(user, ended.json["session_id"]) if isinstance(event, ev.ToolStarted)] == []


@pytest.mark.case("U28")
async def test_a_window_that_the_user_set_larger_than_the_server_has_is_contradicted(user):
    config = '[models."ollama/local-model"]\ncontext_window = 50000\n'
    async with ollama(user, DONE, window=8192, config=config):
        ended = await run(user)
    assert any("50,000" in warning and "8,192" in warning for warning in ended.json["warnings"])


async def test_a_model_without_tools_is_told_of_them_in_words_and_its_answer_is_read_for_calls(user):
    call = '<tool_call>\n{"name": "read", "arguments": {"path": "cart.py"}}\n</tool_call>'
    async with ollama(user, [{"text": call}, {"text": "I have read it."}], able=("completion",)) as server:
        ended = await run(user)
    assert ended.code == 0 and ended.json["result"] == "I have read it."
    first = asked(server)[0].body
    assert "tools" not in first and "<tool_call>" in first["messages"][0]["content"]
    assert [e.call.name for e in events(user, ended.json["session_id"]) if isinstance(e, ev.ToolStarted)] == ["read"]


async def test_a_server_that_does_not_answer_does_not_keep_a_session_from_beginning(user):
    user.configure('provider = "ollama"\nmodel = "m"\n[providers.ollama]\nbase_url = "http://127.0.0.1:9"\n')
    ended = await run(user, "--max-seconds", "4")
    retried = [event.reason for event in events(user, ended.json["session_id"]) if isinstance(event, ev.ModelRetried)]
    assert ended.code == 124 and all("127.0.0.1" in reason for reason in retried) and retried


WRITTEN = {
    "tagged": '<tool_call>\n{"name": "shell", "arguments": {"command": "COMMAND"}}\n</tool_call>',
    "bare JSON": '{"name": "shell", "arguments": {"command": "COMMAND"}}',
    "fenced": 'I run it.\n```json\n{"name": "shell", "arguments": {"command": "COMMAND"}}\n```',
    "XML": "<function=shell>\n<parameter=command>\nCOMMAND\n</parameter>\n</function>",
    "Mistral": '[TOOL_CALLS] [{"name": "shell", "arguments": {"command": "COMMAND"}}]',
}


@pytest.mark.case("U29")
@pytest.mark.parametrize("form", WRITTEN)
async def test_a_call_that_is_written_as_text_is_run_under_the_same_permissions_as_any_other(user, form):
    harmless = {"text": WRITTEN[form].replace("COMMAND", "echo harmless")}
    gated = {"text": WRITTEN[form].replace("COMMAND", "git push --force origin HEAD")}
    async with ollama(user, [harmless, gated, *DONE], model="qwen3:8b") as server:
        ended = await run(user)
    happened = events(user, ended.json["session_id"])
    assert [event.call.arguments["command"] for event in happened if isinstance(event, ev.ToolStarted)] == ["echo harmless"]
    assert ended.code == 3 and [denied["tool"] for denied in ended.json["denied"]] == ["shell"]
    answers = [event.result for event in happened if isinstance(event, ev.ToolFinished)]
    assert "harmless" in answers[0].text() and answers[1].is_error
    assert server.objections == []


@pytest.mark.case("U29")
@pytest.mark.parametrize(
    "prose",
    [
        'You could call it with {"name": "shell", "arguments": {"command": "touch prose"}} if you like.',
        'An example of the format:\n```json\n{"tool": "deploy", "arguments": {"to": "production"}}\n```',
        "Use the `shell` tool: run `touch prose` there.",
        '```json\n{"name": "cart", "version": "1.0"}\n```',
    ],
)
async def test_prose_about_calls_is_not_run(user, prose):
    async with ollama(user, [{"text": prose}], model="qwen3:8b"):
        ended = await run(user)
    assert ended.code == 0 and ended.json["result"] == prose.strip()
    assert [event for event in events(user, ended.json["session_id"]) if isinstance(event, ev.ToolStarted)] == []


@pytest.mark.case("U29")
async def test_doctor_asks_a_model_five_things_and_says_what_it_can_do(user):
    async with ollama(user, ABLE, model="qwen3:8b") as server:
        able = await user.goose("doctor", "model")
    assert able.code == 0 and able.out.count("✓") == 5 and len(asked(server)) == 6, able.out
    assert server.objections == []
    async with ollama(user, [{"text": "ready"}, *[{"text": "I would rather not."}] * 9], model="qwen3:8b"):
        unable = await user.goose("doctor", "model")
    assert unable.code == 1 and unable.out.count("✗") == 4 and "I would rather not." in unable.out
    async with ollama(user, [{"error": {"status": 404, "message": "model 'qwen3:8b' not found"}}] * 3, model="qwen3:8b"):
        missing = await user.goose("doctor", "model")
    assert missing.code == 5 and "not found" in missing.out and "Traceback" not in missing.err


async def test_models_are_listed_shown_and_asked_for(user):
    listed = await user.goose("models", "list")
    assert listed.code == 0 and all(name in listed.out for name in ("anthropic", "openai", "ollama", "openrouter", "bedrock"))
    assert "anthropic/claude-" in (await user.goose("models", "list", "anthropic")).out
    shown = (await user.goose("models", "show", "anthropic/claude-sonnet-5")).out
    assert all(word in shown for word in ("window", "price", "per million", "effort", "ANTHROPIC_API_KEY"))
    assert "safe assumptions" in (await user.goose("models", "show", "anthropic/claude-99")).out
    wrong = await user.goose("models", "list", "antropic")
    assert wrong.code == 2 and "anthropic" in wrong.err
    async with ollama(user, DONE, model="qwen3:8b") as server:
        assert (await user.goose("models", "probe")).out.strip() == "ollama/qwen3:8b"
        assert (await user.goose("models", "probe", "ollama")).code == 0
        assert set(questions(server)) == {"/api/tags"}
    for protocol, provider in (("chat", "lmstudio"), ("anthropic", "anthropic"), ("responses", "openai")):
        async with WireServer([], models={"m-1": {"max_model_len": 4096}, "a": {}}) as server:
            address = f'[providers.{provider}]\nbase_url = "{server.base_url(protocol)}"\n'
            user.configure(f'provider = "{provider}"\nmodel = "m"\n{address}')
            found = await user.goose("models", "probe")
        assert found.out.splitlines() == [f"{provider}/a", f"{provider}/m-1  4,096 tokens"], found
    down = await user.goose("models", "probe", "lmstudio")
    assert down.code != 0 and "Traceback" not in down.err


async def test_a_small_model_is_offered_fewer_tools(user):
    async with ollama(user, DONE) as server:
        await run(user)
    small = {tool["function"]["name"] for tool in asked(server)[0].body["tools"]}
    assert "edit" in small and "shell" in small and not small & {"job", "glob", "list", "apply_patch"}
