"""`goose-py session import`: a session of another program, read, searched and gone on with over every protocol."""

import json

import foreign_sessions
import pytest
from command import answered, calls

FILES = {
    "claude-code": foreign_sessions.claude_code,
    "codex": foreign_sessions.codex,
    "goose": foreign_sessions.goose_export,
}


async def imported(user, name):
    file = user.root / f"{name}.jsonl"
    file.write_bytes(FILES[name]())
    ended = await user.goose("session", "import", str(file))
    assert ended.code == 0, ended
    return ended.out.strip(), ended.err


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("protocol", ["anthropic", "responses", "chat", "ollama"])
async def test_a_conversation_goes_on_where_another_program_left_it(user, name, protocol):
    before = user.tree()
    task_id, told = await imported(user, name)
    assert f"A session of {name}" in told and "not carried over" in told
    async with answered(user, [{"text": "As was found: the sign."}], protocol) as server:
        ended = await user.goose("run", "--resume", task_id, "-t", "What did you find?", "--output-format", "json")
        assert ended.code == 0, ended
        assert server.objections == []
        asked = next(request for request in server.requests if request.protocol)
    said = json.dumps(asked.body)
    for words in ("Why is the total wrong?", "1 failed", "What did you find?", f"another program, {name}"):
        assert words in said, words
    assert user.tree() == before


async def test_an_imported_session_is_shown_searched_exported_and_named(user):
    task_id, _ = await imported(user, "claude-code")
    assert "The cart's discount" in (await user.goose("session", "list", "--all")).out
    for command in (["session", "show"], ["session", "export", "--format", "html"], ["task", "show"]):
        shown = await user.goose(*command, "The cart's discount")
        assert shown.code == 0 and "Traceback" not in shown.err, shown
    found = await user.goose("session", "search", "total wrong")
    assert task_id in found.out


async def test_a_key_in_somebody_elses_session_is_not_kept(user):
    secret = "sk-ant-api03-" + "a" * 40
    file = user.root / "session.jsonl"
    file.write_bytes(foreign_sessions.claude_code().replace(b"1 failed", f"1 failed: {secret}".encode()))
    task_id = (await user.goose("session", "import", str(file))).out.strip()
    kept = b"".join(path.read_bytes() for path in (user.state / "tasks" / task_id).rglob("*") if path.is_file())
    assert secret.encode() not in kept and b"redacted" in kept
    assert secret.encode() in file.read_bytes()


async def test_what_is_no_session_is_refused_and_leaves_nothing(user):
    file = user.root / "notes.txt"
    file.write_text("hello\n")
    refused = await user.goose("session", "import", str(file))
    assert refused.code == 2 and "no session of a program that is known" in refused.err
    missing = await user.goose("session", "import", "nowhere.jsonl")
    assert missing.code == 2 and "nowhere.jsonl" in missing.err
    assert not (user.state / "tasks").exists() or not list((user.state / "tasks").iterdir())


async def test_going_on_without_a_screen_denies_what_would_be_asked_also_where_the_task_was_made_for_one(user):
    task_id, _ = await imported(user, "claude-code")
    turns = [calls(("shell", {"command": "git reset --hard"})), {"text": "I could not."}]
    async with answered(user, turns):
        flags = ("--mode", "ask", "--output-format", "json")
        ended = await user.goose("run", "--resume", task_id, "-t", "Reset", *flags)
    assert ended.code == 3 and ended.json["denied"], ended
