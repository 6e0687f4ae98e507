"""Sessions of other programs as events: what is carried over, in which order, and what is said to be left out."""

import json
from itertools import pairwise

import foreign_sessions
import pytest

from goose_py.agent.context import fold, project
from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import AssistantMessage, Image, ModelRef, Text, ToolMessage, UserMessage
from goose_py.session.importing import claude_code, codex, goose
from goose_py.session.importing.read import read_session

ANYBODY = ModelRef(provider="anthropic", model="claude-sonnet-5")
FILES = {
    "claude-code": foreign_sessions.claude_code,
    "codex": foreign_sessions.codex,
    "codex of 2025": foreign_sessions.codex_of_2025,
    "goose": foreign_sessions.goose_export,
    "goose of 2025": foreign_sessions.goose_of_2025,
}


def records(imported):
    return [ev.Record(seq=number, at=at, event=event) for number, (at, event) in enumerate(imported.events, 1)]


def history(imported):
    return fold(records(imported)).messages()


def texts(message):
    if isinstance(message, ToolMessage):
        return [result.text() for result in message.results]
    return [part.text for part in message.parts if isinstance(part, Text)]


def calls(imported):
    replies = [event.message for _, event in imported.events if isinstance(event, ev.ModelReplied)]
    return [(call.name, call.arguments, call.malformed) for reply in replies for call in reply.tool_calls()]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_told_by_what_is_in_it_and_becomes_a_history_that_is_complete(tmp_path, name):
    file = tmp_path / "session"
    file.write_bytes(FILES[name]())
    imported = read_session(file)
    assert imported.program == name.split()[0]
    messages = project(history(imported), ANYBODY)
    assert isinstance(messages[0], UserMessage)
    for before, after in pairwise(messages):
        if isinstance(before, AssistantMessage):
            asked = [call.id for call in before.tool_calls()]
            answered = [result.call_id for result in after.results] if isinstance(after, ToolMessage) else []
            assert asked == answered
    times = [at for at, _ in imported.events]
    assert times == sorted(times) and (times[0] > 1e9)


def test_a_reply_of_claude_code_that_was_written_in_pieces_is_one_reply_with_all_of_its_calls():
    imported = claude_code.convert(foreign_sessions.claude_code())
    first, reply, results, answer, second, interrupted, lost = history(imported)
    assert texts(first) == ["Why is the total wrong?"] and isinstance(first.parts[1], Image)
    assert [call.name for call in reply.tool_calls()] == ["Read", "Bash"]
    assert [(result.text(), result.is_error) for result in results.results] == [
        ("     1→def total(prices):", False),
        ("1 failed", True),
    ]
    assert texts(answer) == ["The sign is wrong."] and texts(second) == ["Then mend it"]
    assert [call.name for call in interrupted.tool_calls()] == ["Edit"] and lost.results[0].is_error
    assert reply.origin == ModelRef(provider="claude-code", model="claude-opus-4-6")
    assert (imported.session_id, imported.folder, imported.title) == ("c0ffee", "/home/ada/cart", "The cart's discount")


def test_what_claude_code_left_behind_or_kept_for_itself_is_named_and_counted():
    imported = claude_code.convert(foreign_sessions.claude_code())
    everything = json.dumps([texts(message) for message in history(imported)])
    assert "older" not in everything and "Search the repository" not in everything
    assert set(imported.report) == {
        "1 × calls without a result",
        "1 × entries of type 'file-history-snapshot'",
        "1 × lines that are no JSON",
        "1 × messages of subagents",
        "1 × signatures of thinking",
        "2 × messages of abandoned branches",
    }
    ends = [event.outcome for _, event in imported.events if isinstance(event, ev.TurnEnded)]
    assert ends == ["done", "interrupted"]


def test_a_rollout_of_codex_keeps_calls_of_every_kind_and_leaves_the_programs_own_words_out():
    imported = codex.convert(foreign_sessions.codex())
    first, reply, results, *_ = history(imported)
    assert texts(first) == ["Why is the total wrong?"] and isinstance(first.parts[1], Image)
    assert calls(imported) == [
        ("shell", {"command": ["bash", "-lc", "pytest -q"]}, None),
        ("apply_patch", {"input": "*** Begin Patch"}, None),
        ("shell", {}, "{broken"),
    ]
    assert [result.is_error for result in results.results] == [True, False]
    assert reply.origin.model == "gpt-5.5"
    said = json.dumps([texts(message) for message in history(imported)])
    assert "You are Codex" not in said and "environment_context" not in said
    assert "2 × instructions of the program" in imported.report
    assert "1 × items of type 'ghost_snapshot'" in imported.report


def test_a_rollout_of_2025_has_its_shell_calls_too():
    imported = codex.convert(foreign_sessions.codex_of_2025())
    assert calls(imported) == [("shell", {"command": ["ls"]}, None)]
    assert imported.session_id == "old-1"
    assert texts(history(imported)[-1]) == ["One file."]


@pytest.mark.parametrize("source", [foreign_sessions.goose_export, foreign_sessions.goose_of_2025])
def test_a_session_of_goose_keeps_both_forms_of_results_and_what_was_not_answered(source):
    imported = goose.convert(source())
    first, reply, results, answer, second, asked, lost = history(imported)
    assert isinstance(first.parts[1], Image) and texts(answer) == ["The sign is wrong."] and texts(second) == ["Mend it"]
    assert [call.name for call in reply.tool_calls()] == ["developer__shell", "developer__text_editor"]
    shown = [(result.text(), result.is_error) for result in results.results]
    assert shown == [("1 failed", True), ("def total(prices):", False)]
    assert asked.tool_calls()[0].arguments == {"command": "sed -i"} and lost.results[0].is_error
    assert imported.title == "The cart's discount" and imported.folder == "/home/ada/cart"
    assert "1 × messages that its model no longer saw" in imported.report
    assert "1 × parts of type 'toolConfirmationRequest'" in imported.report


def test_a_database_of_goose_is_only_read_and_asks_which_session_is_meant(tmp_path):
    file = tmp_path / "sessions.db"
    foreign_sessions.goose_database(file)
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"--session ID: 20260301_2 \(Session 2\), 20260301_1 \(Session 1\)"):
        read_session(file)
    imported = read_session(file, "Session 1")
    assert imported.session_id == "20260301_1" and imported.prompts == 3
    with pytest.raises(UserError, match="no session 'Session 3'"):
        read_session(file, "Session 3")
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["sessions.db"]


OTHER = [b"", b"hello\n", b"[1, 2]", b'{"type":"user"}\n', b"\xff\xfe\x00", b"SQLite format 3\0junk"]


@pytest.mark.parametrize("content", OTHER)
def test_a_file_of_another_kind_is_refused_in_a_sentence(tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_session(file)
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", FILES)
def test_every_beginning_of_a_file_is_read_or_refused_but_never_a_bug(tmp_path, name):
    raw = FILES[name]()
    file = tmp_path / "session"
    for size in range(0, len(raw), 41):
        file.write_bytes(raw[:size])
        try:
            imported = read_session(file)
        except UserError:
            continue
        assert project(history(imported), ANYBODY)


@pytest.mark.parametrize("name", FILES)
def test_values_of_the_wrong_kind_do_no_harm(tmp_path, name):
    """Each value of each line in turn becomes null, a number, a text and a list."""
    file = tmp_path / "session"
    raw = FILES[name]()
    lines = [raw] if name == "goose" else [line for line in raw.split(b"\n") if line.endswith(b"}")]
    document = [json.loads(line) for line in lines]
    for place in _places(document):
        for wrong in (None, 7, "x", []):
            changed = json.loads(json.dumps(document))
            _set(changed, place, wrong)
            file.write_bytes(foreign_sessions.lines(*changed))
            try:
                assert project(history(read_session(file)), ANYBODY) is not None
            except UserError:
                continue


def _places(value, place=()):
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*place, key)
        yield from _places(child, (*place, key))


def _set(value, place, wrong):
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = wrong
