"""Variables of the user's that commands get: those that were named, and of those only the names are written down."""

import json

import pytest
from command import answered, calls
from parallel import ended as finished

FOUND_CHECKS = True

TOKEN = "ghx-4f9a1c77d02b4e5f"
SEEN = ("shell", {"command": "echo token `printenv GH_TOKEN | wc -m` region $AWS_REGION other [$OTHER]; echo my $GH_TOKEN"})
LOOKING = [calls(SEEN), {"text": "Seen."}]
SERVER = """\
import os
from mcp.server import MCPServer
server = MCPServer("env", version="1")
@server.tool(annotations={"readOnlyHint": True})
def variables() -> str:
    "What there is."
    return " ".join(sorted(os.environ))
server.run("stdio")
"""


@pytest.fixture
def user(user):
    user.env = {**user.env, "GH_TOKEN": TOKEN, "AWS_REGION": "eu-central-1", "OTHER": "mine"}
    return user


def heard(server) -> str:
    """What the model was told last."""
    return json.dumps(server.requests[-1].body)


@pytest.mark.case("H05")
async def test_what_was_named_reaches_commands_and_only_names_and_no_secret_are_kept(user):
    async with answered(user, LOOKING, config='sandbox.env = ["AWS_*"]') as server:
        ended = await user.goose("run", "-t", "Look", "--env", "GH_TOKEN")
    assert ended.code == 0 and "commands get of your variables: AWS_REGION, GH_TOKEN" in ended.err
    assert f"token {len(TOKEN) + 1} region eu-central-1 other []" in heard(server)
    assert TOKEN not in heard(server) and TOKEN not in ended.err and "my [redacted]" in heard(server)
    kept = [path for path in user.state.rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
    (spec,) = [json.loads(path.read_text()) for path in kept if path.name == "task.json"]
    assert spec["overrides"]["sandbox.env"] == ["GH_TOKEN"]


@pytest.mark.case("H05")
async def test_checks_get_them_and_a_task_in_the_background_takes_them_from_who_starts_it(user):
    turns = [calls(("shell", {"command": "echo > new.txt"})), *[{"text": "Done."}] * 3]
    async with answered(user, turns, config='mode = "auto"\nplan_approval = "off"'):
        check = "printenv GH_TOKEN | grep -q 4f9a1c77 && printenv AWS_REGION"
        started = await user.goose("task", "start", "Look", "--env", "GH_TOKEN", "--env", "AWS_REGION", "--check", check)
        summary = await finished(user, started.out.strip(), "awaiting review")
    assert summary.checks == "passed", summary


@pytest.mark.case("H05")
async def test_a_value_that_is_missing_where_the_task_is_started_is_said(user):
    async with answered(user, [*LOOKING, *LOOKING], config='checks = []\nsandbox.env = ["NPM_TOKEN"]'):
        ended = await user.goose("run", "-t", "Look", "--env", "GH_TOKEN", "--env", "AWS_SECRET", "--output-format", "json")
        assert ended.json["warnings"] == ["Commands go without AWS_SECRET (not set where this was started)."]
        doctor = await user.goose("doctor")
        assert "commands get of your variables: none; not set here: NPM_TOKEN" in doctor.out
        del user.env["GH_TOKEN"]
        again = await user.goose("run", "--resume", ended.json["session_id"], "-t", "Again")
    assert "Commands go without GH_TOKEN, AWS_SECRET (not set where this was started)." in again.err


@pytest.mark.case("H05")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("PATH", "The variable PATH cannot be passed on to commands: the sandbox decides it itself."),
        ("GIT_*", "The variable GIT_* cannot be passed on to commands: the sandbox decides it itself."),
        ("*", "'*' names every variable there is: name those that commands need."),
        ("GH_TOKEN=x", "'GH_TOKEN=x' is no name of a variable"),
    ],
)
async def test_what_would_break_the_sandbox_is_refused_in_a_sentence_before_anything_begins(user, name, why):
    async with answered(user, LOOKING) as server:
        refused = await user.goose("run", "-t", "Look", "--env", name)
        configured = await user.goose("task", "start", "Look", "--env", name)
    assert refused.code == configured.code == 2 and why in refused.err and why in configured.err
    assert "Traceback" not in refused.err and server.requests == []


@pytest.mark.case("H05")
async def test_a_server_gets_none_of_them_but_what_its_own_configuration_names(user):
    (user.repository / "server.py").write_text(SERVER)
    user.commit("A server")
    config = (
        'mode = "auto"\nplan_approval = "off"\nsandbox.env = ["GH_TOKEN", "AWS_REGION"]\n'
        '[extensions.env]\ntype = "stdio"\ncmd = "python"\nargs = ["server.py"]\nenv_keys = ["OTHER"]\n'
    )
    async with answered(user, [calls(("env__variables", {})), {"text": "Seen."}], config=config) as server:
        ended = await user.goose("run", "-t", "Look")
    assert ended.code == 0, ended
    said = heard(server)
    assert " OTHER " in said and "GH_TOKEN " not in said and "AWS_REGION " not in said


@pytest.mark.case("H05")
async def test_who_is_asked_about_a_command_is_told_what_it_would_get(user):
    turns = [calls(("shell", {"command": "git clean -fdx"})), {"text": "Denied."}]
    async with answered(user, turns, config='mode = "ask"'):
        ended = await user.goose("run", "-t", "Look", "--env", "GH_TOKEN", "--output-format", "stream-json")
        told = await user.goose("run", "-t", "Look", "--env", "GH_TOKEN")
    asked = [line for line in map(json.loads, ended.out.splitlines()) if "approval_requested" in json.dumps(line)]
    assert asked and '"variables": ["GH_TOKEN"]' in json.dumps(asked[0])
    assert told.code != 0 or "needs approval" in told.err


@pytest.mark.case("H05")
async def test_a_recipe_names_only_what_the_user_has_granted(user):
    recipe = user.root / "release.yaml"
    recipe.write_text("title: Release\ndescription: Brings it out\nprompt: Look\nenv: [GH_TOKEN, AWS_REGION]\n")
    async with answered(user, LOOKING, config='sandbox.env = ["AWS_*"]'):
        refused = await user.goose("run", "recipe", str(recipe))
        granted = await user.goose("run", "recipe", str(recipe), "--env", "GH_TOKEN")
    assert refused.code == 3 and "needs GH_TOKEN of your environment" in refused.err and "`--env GH_TOKEN`" in refused.err
    assert granted.code == 0 and "commands get of your variables: AWS_REGION, GH_TOKEN" in granted.err


@pytest.mark.case("H05")
async def test_a_repository_cannot_choose_what_it_gets(user):
    (user.repository / ".goose").mkdir()
    (user.repository / ".goose" / "config.toml").write_text('sandbox.env = ["GH_TOKEN"]\n')
    user.commit("A wish")
    await user.goose("trust", "--yes")
    async with answered(user, LOOKING) as server:
        ended = await user.goose("run", "-t", "Look")
    assert ended.code == 0 and "token 0 region other" in heard(server) and "sandbox.env" in ended.err
