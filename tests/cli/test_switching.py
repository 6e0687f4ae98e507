"""Provider, model and effort: chosen at every level, switched in mid-session, and what answered is always on record."""

import itertools
import json

import foreign_sessions
import pytest
from command import PLAN, PLAN_DONE, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

ROADS = {"anthropic": "anthropic", "openai": "responses", "lmstudio": "chat", "ollama": "ollama"}
RING = {*itertools.pairwise(ROADS), (next(iter(ROADS)), next(reversed(ROADS)))}
"""Each is gone from and to."""
DONE = [{"text": "Done."}] * 8


def providers(server, config=""):
    """One server, asked over all four protocols."""
    tables = [f'[providers.{name}]\nbase_url = "{server.base_url(protocol)}"\n' for name, protocol in ROADS.items()]
    return f'provider = "anthropic"\nmodel = "model-a"\n{config}\n' + "\n".join(tables)


def records(user, task_id):
    return read_log(user.state / "tasks" / task_id).records


def answered_by(user, task_id, phase=None):
    events = [record.event for record in records(user, task_id)]
    return [str(e.model) for e in events if isinstance(e, ev.UsageRecorded) and phase in (None, e.phase)]


def asked(server):
    return [request for request in server.requests if request.protocol]


@pytest.mark.case("U30")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(f"{one}/model-a", f"{other}/model-b", marks=() if (one, other) in RING else pytest.mark.long)
        for one, other in itertools.combinations_with_replacement(ROADS, 2)
    ],
)
async def test_a_session_goes_from_a_to_b_and_back_with_tools_thinking_and_pictures(user, first, second):
    other = user.root / "session.jsonl"
    other.write_bytes(foreign_sessions.claude_code())  # a conversation with a picture in it
    task_id = (await user.goose("session", "import", str(other))).out.strip()
    work = [
        {**calls(("read", {"path": "test_cart.py"}), ("read", {"path": "cart.py"})), "thinking": "Hm.", "signature": "c2ln"},
        {**calls(PLAN, ("shell", {"command": "echo done"}), PLAN_DONE), "thinking": "Now I work.", "signature": "c2ln"},
        {"text": "That is it.", "thinking": "Enough.", "signature": "c2ln"},
    ]
    async with answered(user, [*work, *work, *work, *DONE]) as server:
        user.configure(providers(server, '[models."*"]\nimages = true\n'))
        chosen = ("--provider", first.split("/")[0], "--model", "model-a")
        ended = await user.goose("run", "--resume", task_id, "-t", "Look", *chosen, "--output-format", "json")
        assert ended.code == 0, ended
        for number, name in enumerate((second, first)):
            switched = await user.goose("task", "model", task_id, name)
            assert switched.code == 0 and name in switched.out, switched
            ended = await user.goose("run", "--resume", task_id, "-t", f"And {number}", "--output-format", "json")
            assert ended.code == 0 and f"{ended.json['provider']}/{ended.json['model']}" == name, ended
    assert server.objections == []
    who = answered_by(user, task_id)
    assert who == [first] * 3 + [second] * 3 + [first] * 3
    thoughts = json.dumps(asked(server)[3].body)
    if first != second:
        assert "Now I work." not in thoughts and "c2ln" not in thoughts, "what another model signed is not sent"
    for request in asked(server):
        assert foreign_sessions.PIXEL in request.raw.decode()
    assert "echo done" in json.dumps(asked(server)[-1].body)


@pytest.mark.case("U30")
async def test_a_switch_to_a_model_whose_window_is_too_small_is_refused_with_the_remedy_and_changes_nothing(user):
    (user.repository / "long.txt").write_text("words and words\n" * 3000)
    user.commit("A long file")
    async with answered(user, [calls(("read", {"path": "long.txt"})), *DONE]) as server:
        user.configure(providers(server, '[models."openai/tiny"]\ncontext_window = 8000\n'))
        ended = await user.goose("run", "-t", "Read it", "--output-format", "json")
        task_id = ended.json["session_id"]
        before = len(records(user, task_id))
        for refused in (
            await user.goose("task", "model", task_id, "openai/tiny"),
            await user.goose("run", "--resume", task_id, "-t", "Go on", "--provider", "openai", "--model", "tiny"),
        ):
            assert refused.code == 2 and "does not fit the window of openai/tiny (8,000 tokens" in refused.err, refused
            assert "compact it first" in refused.err or "too large" in refused.err
        assert [r for r in records(user, task_id) if isinstance(r.event, (ev.ModelSet, ev.UsageRecorded))][-1].seq <= before
        assert len(asked(server)) == 2


async def test_a_switch_to_what_does_not_exist_or_has_no_key_is_refused_in_a_sentence(user):
    async with answered(user, DONE) as server:
        user.configure(providers(server))
        task_id = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
        for name, said in (("mistral/mistral-large", "MISTRAL_API_KEY"), ("bedrock/", "model")):
            refused = await user.goose("task", "model", task_id, name)
            assert refused.code in (2, 5) and said in refused.err and "Traceback" not in refused.err, refused


async def test_who_answers_is_chosen_by_default_by_phase_by_task_and_in_mid_session_and_always_on_record(user):
    phases = (
        'effort = "low"\n[phases.plan]\nmodel = "planner"\neffort = "high"\n'
        '[phases.verify]\nprovider = "openai"\nmodel = "checker"\n'
    )
    work = [calls(PLAN, ("write", {"path": "a.txt", "content": "1\n"}), PLAN_DONE), *DONE]
    async with answered(user, [*work, *work, *work]) as server:
        user.configure(providers(server, phases))
        task_id = (await user.goose("run", "-t", "One", "--output-format", "json")).json["session_id"]
        assert answered_by(user, task_id, "plan") == ["anthropic/planner · high"]
        assert set(answered_by(user, task_id, "execute")) == {"anthropic/model-a · low"}
        assert set(answered_by(user, task_id, "verify")) == {"openai/checker · low"}
        cost = (await user.goose("cost", task_id)).out
        assert all(name in cost for name in ("anthropic/planner · high ×1", "anthropic/model-a · low", "openai/checker · low"))

        given = ("--model", "mine", "--effort", "max", "--output-format", "json")
        own = (await user.goose("run", "-t", "Two", *given)).json["session_id"]
        assert set(answered_by(user, own)) == {"anthropic/mine · max"}, "what a task is given counts for more than the phases"

        await user.goose("run", "--resume", task_id, "-t", "Go on", "--model", "other", "--output-format", "json")
        assert answered_by(user, task_id)[-1] == "anthropic/other · low"
    assert server.objections == []


async def test_a_recipe_and_a_background_task_may_name_who_answers(user):
    recipe = user.root / "recipe.yaml"
    recipe.write_text(
        "version: 1.0.0\ntitle: Look\ndescription: Looks\nprompt: Look at the cart\n"
        "settings:\n  goose_provider: openai\n  goose_model: recipe-model\n"
    )
    async with answered(user, DONE) as server:
        user.configure(providers(server))
        by_recipe = await user.goose("run", "recipe", str(recipe), "--output-format", "json")
        assert set(answered_by(user, by_recipe.json["session_id"])) == {"openai/recipe-model"}
        by_flag = await user.goose("run", "recipe", str(recipe), "--model", "flag-model", "--output-format", "json")
        assert set(answered_by(user, by_flag.json["session_id"])) == {"openai/flag-model"}
        task_id = (await user.goose("task", "start", "Hello", "--provider", "lmstudio", "--model", "background")).out.strip()
        await server.received(2, within=30)
        await user.goose("task", "check", task_id)
        stopped = await user.goose("task", "stop", task_id)
        assert stopped.code == 0
    assert set(answered_by(user, task_id)) <= {"lmstudio/background"}


async def test_a_phase_that_names_only_a_provider_has_that_providers_usual_model(user):
    async with answered(user, DONE) as server:
        user.configure(providers(server, '[phases.plan]\nprovider = "openai"\n'))
        task_id = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
        assert answered_by(user, task_id, "plan")[0].startswith("openai/gpt-")
        user.configure(providers(server, '[phases.plan]\nprovider = "lmstudio"\n'))
        failed = await user.goose("run", "-t", "Hi", "--output-format", "json")
        assert failed.code in (1, 2) and "No model is named for lmstudio" in failed.json["detail"] + failed.err, failed
