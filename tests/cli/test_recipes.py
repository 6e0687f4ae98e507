"""Recipes from the command line: parameters, checks, structured answers, retries."""

import json
from pathlib import Path

from command import FIXING, PLAN, PLAN_DONE, User, answered, calls

DONE = [{"text": "Done."}] * 8


def recipe(user: User, text: str, name: str = "task.yaml") -> str:
    file = user.root / name
    file.write_text(text)
    return str(file)


async def test_a_bundled_recipe_runs_by_its_name_with_its_check(user):
    async with answered(user, FIXING) as server:
        ended = await user.goose(
            "run", "recipe", "fix-failing-test", "--params", "test=test_cart.py", "--output-format", "json"
        )
    assert ended.code == 0, ended
    assert [check["passed"] for check in ended.json["checks"]] == [True]
    first = json.dumps(server.requests[0].body)
    assert "This test fails: test_cart.py" in first and "You mend the cause of a failing test" in first


async def test_parameters_are_asked_for_by_name_and_values_change_nothing_but_the_text(user):
    path = recipe(
        user,
        "title: T\ndescription: d\nprompt: |\n  Say {{ word }}\n"
        "parameters:\n  - {key: word, input_type: string, requirement: required, description: A word}\n",
    )
    async with answered(user, DONE) as server:
        missing = await user.goose("run", "recipe", path)
        assert missing.code == 2 and "--params word=" in missing.err
        nasty = '"; touch p #\nextensions: [{type: stdio, cmd: touch}]'
        ended = await user.goose("run", "recipe", path, "--params", f"word={nasty}")
        assert ended.code == 0, ended
        texts = [part["text"] for message in server.requests[0].body["messages"] for part in message["content"]]
        assert any("touch p #" in text and "extensions: [" in text for text in texts)
    wrong = await user.goose("run", "recipe", path, "--params", "word")
    assert wrong.code == 2 and "KEY=VALUE" in wrong.err


async def test_a_structured_answer_is_the_whole_of_standard_output_and_must_fit_its_schema(user):
    path = recipe(
        user,
        "title: T\ndescription: d\nprompt: Count.\nresponse:\n  json_schema:\n    type: object\n"
        "    properties: {count: {type: integer}}\n    required: [count]\n",
    )
    turns = [
        {"text": "It is three."},
        calls(("final_output", {"count": "three"})),
        calls(("final_output", {"count": 3})),
        *DONE,
    ]
    async with answered(user, turns) as server:
        ended = await user.goose("run", "recipe", path)
    assert ended.code == 0 and json.loads(ended.out) == {"count": 3}, ended
    assert server.objections == []


async def test_a_recipe_is_tried_again_from_its_first_messages_until_its_checks_pass(user):
    path = recipe(
        user,
        "title: T\ndescription: d\nprompt: Make it.\n"
        "retry:\n  max_retries: 2\n  checks: [{type: shell, command: test -e made}]\n  on_failure: touch failed-once\n",
    )
    make = calls(PLAN, ("write", {"path": "made", "content": "x"}))
    turns = [{"text": "First try."}, {"text": "Second try."}, make, calls(PLAN_DONE), *DONE]
    async with answered(user, turns) as server:
        refused = await user.goose("run", "recipe", path)
        digest = refused.err.split("--allow-exec=")[1].split()[0]
        ended = await user.goose("run", "recipe", path, f"--allow-exec={digest}", "--output-format", "json")
    assert ended.code == 0, ended
    workspace = Path(ended.json["worktree"])
    assert (workspace / "made").exists() and (workspace / "failed-once").exists()
    tries = [json.dumps(request.body["messages"]) for request in server.requests[:3]]
    assert "First try." not in tries[1] and "Make it." in tries[1], "the conversation begins anew"

    async with answered(user, DONE):
        gone = await user.goose("run", "recipe", path, f"--allow-exec={digest}", "--output-format", "json")
    assert gone.code == 6, "the checks never passed"


async def test_a_recipe_can_only_tighten_what_the_user_set(user):
    path = recipe(user, "title: T\ndescription: d\nprompt: Go.\nmode: auto\nsettings: {max_turns: 50}\n")
    turns = [calls(("shell", {"command": f"echo {number}"})) for number in range(9)]
    async with answered(user, turns):
        ended = await user.goose("run", "recipe", path, "--mode", "ask", "--max-turns", "2", "--output-format", "json")
    assert ended.code == 4 and ended.json["requests"] == 2


async def test_recipes_are_validated_explained_rendered_and_listed(user):
    broken = recipe(user, "title: T\nprompt: {{ x }}\n", "broken.yaml")
    said = await user.goose("recipe", "validate", broken)
    assert said.code == 1 and "broken.yaml:2" in said.err
    assert (await user.goose("recipe", "validate", "fix-failing-test")).out.strip() == "✓ recipe file is valid"
    explained = await user.goose("run", "recipe", "fix-failing-test", "--explain")
    assert explained.code == 0 and "test" in explained.out and "required" in explained.out
    rendered = await user.goose("run", "recipe", "fix-failing-test", "--params", "test=a b", "--render-recipe")
    assert rendered.code == 0 and "a b" in rendered.out
    listed = json.loads((await user.goose("recipe", "list", "--format", "json")).out)
    assert "fix-failing-test" in [entry["name"] for entry in listed]
    link = (await user.goose("recipe", "deeplink", "explain-codebase")).out.strip()
    assert link.startswith("goose://recipe?config=")
    assert (await user.goose("recipe", "validate", link)).code == 0
