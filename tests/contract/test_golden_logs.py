"""Logs that earlier versions wrote, kept in `golden/`: they load for ever, without a problem, and mean what they meant.

A log in `golden/` is never changed. An event or a field that is new gets a log of its own beside it."""

import shutil
from pathlib import Path
from typing import get_args

import pytest
from session_rig import strict_complaint, text_of

from goose_py.agent.context import LOST_BEGINNING, UNKNOWN_OUTCOME, fold, project
from goose_py.protocol import events as ev
from goose_py.protocol.codec import RECORD_VERSION, decode_record, encode
from goose_py.protocol.messages import Image, ModelRef, Thinking, ToolMessage
from goose_py.session.export import to_html, to_json, to_markdown
from goose_py.session.log import Log, read_log
from goose_py.session.state import SessionState

GOLDEN = Path(__file__).parent / "golden"
LOGS = sorted(path.parent for path in GOLDEN.glob("*/log.jsonl"))
V1 = GOLDEN / "v1"


def records(folder=V1):
    return read_log(folder).records


@pytest.mark.parametrize("folder", LOGS, ids=lambda folder: folder.name)
def test_a_golden_log_loads_without_a_problem_and_every_prefix_is_a_conversation(folder):
    contents = read_log(folder)
    assert (contents.problems, contents.torn) == ((), 0)
    assert contents.header.version <= RECORD_VERSION
    assert [record.seq for record in contents.records] == list(range(1, contents.lines))
    for size in range(len(contents.records) + 1):
        history = project(fold(contents.records[:size]).messages(), ModelRef(provider="x", model="y"))
        assert not history or strict_complaint(history, whole=False) == ""
        assert LOST_BEGINNING not in "".join(map(text_of, history))


@pytest.mark.parametrize("folder", LOGS, ids=lambda folder: folder.name)
def test_a_golden_record_written_again_is_the_same_record(folder):
    for record in records(folder):
        assert decode_record(encode(record)) == record


@pytest.mark.parametrize("folder", LOGS, ids=lambda folder: folder.name)
def test_a_golden_log_is_resumed_and_exported(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "log")
    log, contents = Log.open(tmp_path / "log", lambda: 2e9)
    log.append(ev.Warned(text="resumed"))
    log.close()
    assert read_log(tmp_path / "log").records[:-1] == contents.records
    assert to_markdown(contents.records) and to_html(contents.records) and to_json(contents.records)


def test_every_event_that_can_be_logged_is_in_a_golden_log():
    kept = {type(record.event) for folder in LOGS for record in records(folder)}
    missing = sorted(kind.__name__ for kind in get_args(ev.DurableEvent) if kind not in kept)
    assert not missing, f"add a log with {missing} as a new folder in {GOLDEN.name}/; never change one that is there"


def test_the_first_format_means_what_it_meant():
    state = SessionState(records())
    started = state.started
    assert (started.session_id, started.base_branch, started.includes_changes) == ("0601-a1b2c3", "main", True)
    assert started.recipe == {"title": "Fix", "parameters": {"test": "tests/test_parser.py"}}
    assert (state.title, state.mode, str(state.model)) == ("Parser typo", "auto", "openai/gpt-5.4")
    assert state.limits == ev.Limits(max_turns=300, max_seconds=3600.0, max_tokens=1000000)
    assert (state.turns, state.open_turn, state.outcome.outcome) == (2, False, "interrupted")
    assert (state.spending.turns, state.spending.cost, state.spending.unpriced) == (2, 0.0123, True)
    assert state.prefix.tools[0].read_only
    assert [step.status for step in state.plan.plan.steps] == ["completed", "failed"]
    assert (state.steering, state.queued, state.questions) == ((), (), ())
    assert {command: result.exit_code for command, result in state.checked.items()} == {"pytest -q": 0, "make slow": None}


def test_the_first_formats_conversation_is_seen_as_it_was():
    history = fold(records()).messages()
    first = history[0]
    assert [part.text for part in first.parts if not isinstance(part, Image)] == [
        "<harness source='environment'>\nSystem: Linux x86_64, bash, Python 3.12\n</harness>",
        "<harness source='conventions'>\nConventions of this project (AGENTS.md):\nUse tabs.\n</harness>",
        "Mend the parser,\u2028please: \U0001f986 café",
    ]
    thinking = [part for part in history[1].parts if isinstance(part, Thinking)]
    assert [(part.signature, part.redacted) for part in thinking] == [("EqQBCkYIBRgCKkD=", False), ("opaque", True)]
    assert text_of(history[3]) == "and mind the tabs"
    results = [result for message in history if isinstance(message, ToolMessage) for result in message.results]
    assert [result.call_id for result in results] == ["toolu_1", "toolu_2", "toolu_3", "call_4", "call_5", "call_6"]
    assert "characters were cut here to make room" in results[2].text()
    assert results[-1].text() == UNKNOWN_OUTCOME
    assert text_of(history[-3]) == "then write the changelog"


def test_the_first_formats_long_text_comes_back_whole():
    result = next(
        r.event.result for r in records() if isinstance(r.event, ev.ToolFinished) and len(r.event.result.text()) > 9999
    )
    lines = result.text().split("\n")
    assert (len(lines), lines[0], lines[-1]) == (2501, "tests/test_parser.py::test_0 PASSED", "[exit code 0]")
