"""Forks: a log that goes on from another one, read as one."""

import json

import pytest

from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import AssistantMessage, ModelRef, Text, UserMessage
from goose_py.session.fork import fork_point
from goose_py.session.log import BLOB_RECORD_SIZE, LOG_NAME, Log, read_log
from goose_py.session.state import SessionState

MODEL = ModelRef(provider="p", model="m")
LONG = "a long answer " * (BLOB_RECORD_SIZE // 8)


def now():
    return 1000.0


def started(name):
    return ev.SessionStarted(session_id=name, workspace=f"/{name}", model=MODEL)


def prompt(text):
    return ev.PromptReceived(prompt_id=text, parts=(Text(text),))


def replied(text):
    return ev.ModelReplied(message=AssistantMessage(parts=(Text(text),), origin=MODEL))


def write(root, name, events, **parent):
    log = Log.create(root / name, name, now, **parent)
    for event in events:
        log.append(event)
    log.close()
    return root / name


@pytest.fixture
def parent(tmp_path):
    turn = [ev.TurnStarted(turn=1), replied(LONG), ev.TurnEnded(outcome="done")]
    return write(tmp_path, "parent", [started("parent"), prompt("first"), *turn, prompt("second")])


def texts(contents):
    messages = SessionState(contents.records).conversation.messages()
    return ["".join(part.text for part in m.parts if isinstance(part, Text)) for m in messages if not isinstance(m, ev.Event)]


def test_a_fork_reads_as_its_parent_up_to_the_point_and_then_as_itself(parent):
    fork = write(parent.parent, "fork", [started("fork"), prompt("another")], parent="parent", parent_seq=5)
    contents = read_log(fork)
    assert [record.seq for record in contents.records] == [1, 2, 3, 4, 5, 6, 7]
    assert texts(contents) == ["first", LONG, "another"], "long texts come from the parent's own store"
    assert contents.problems == () and not (fork / "blobs").exists()
    state = SessionState(contents.records)
    assert state.started is not None and state.started.session_id == "fork"


def test_a_fork_of_a_fork_reads_through_both_and_goes_on_counting_after_each_opening(parent):
    root = parent.parent
    write(root, "child", [started("child"), prompt("child")], parent="parent", parent_seq=5)
    grandchild = write(root, "grandchild", [started("grandchild")], parent="child", parent_seq=7)
    log, contents = Log.open(grandchild, now)
    assert log.append(prompt("grandchild")).seq == 9
    log.close()
    assert contents.records[-1].seq == 8
    assert texts(read_log(grandchild)) == ["first", LONG, "childgrandchild"]


def test_what_the_parent_says_later_is_no_part_of_its_forks(parent):
    fork = write(parent.parent, "fork", [started("fork")], parent="parent", parent_seq=5)
    before = read_log(fork).records
    log, _ = Log.open(parent, now)
    log.append(prompt("later"))
    log.close()
    assert read_log(fork).records == before


def test_a_torn_tail_of_a_fork_is_set_aside_and_the_parent_stays_as_it_is(parent):
    fork = write(parent.parent, "fork", [started("fork"), prompt("own")], parent="parent", parent_seq=5)
    known = (parent / LOG_NAME).read_bytes()
    whole = (fork / LOG_NAME).read_bytes()
    (fork / LOG_NAME).write_bytes(whole[:-20])
    log, contents = Log.open(fork, now)
    assert contents.torn > 0 and log.append(prompt("again")).seq == 7
    log.close()
    assert texts(read_log(fork)) == ["first", LONG, "again"]
    assert (parent / LOG_NAME).read_bytes() == known


def test_a_parent_that_is_shorter_than_the_fork_says_is_told_of(parent):
    fork = write(parent.parent, "fork", [started("fork")], parent="parent", parent_seq=40)
    contents = read_log(fork)
    assert "records up to 40" in contents.warnings()[0]
    log, _ = Log.open(fork, now)
    assert log.append(prompt("on")).seq == 42, "numbers are not given twice"
    log.close()


def test_two_logs_that_name_each_other_are_read_each_for_itself(tmp_path):
    write(tmp_path, "a", [started("a")], parent="b", parent_seq=9)
    write(tmp_path, "b", [started("b")], parent="a", parent_seq=9)
    for name in ("a", "b"):
        contents = read_log(tmp_path / name)
        assert len(contents.records) == 1 and contents.problems


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, None])
def test_every_record_is_a_point_to_fork_at(parent, at):
    records = read_log(parent).records
    point = fork_point(records, at)
    assert point.seq == (at or 6)
    assert point.state.open_turn == (at in (3, 4))
    messages = point.state.conversation.messages()
    assert all(isinstance(message, (UserMessage, AssistantMessage)) for message in messages)


@pytest.mark.parametrize("at", [0, -1, 7, 999])
def test_a_record_that_is_not_there_is_no_point_to_fork_at(parent, at):
    with pytest.raises(UserError, match="its records are 1 to 6"):
        fork_point(read_log(parent).records, at)


def test_the_header_names_the_parent_and_logs_without_one_read_as_ever(tmp_path, parent):
    fork = write(tmp_path, "fork", [started("fork")], parent="parent", parent_seq=5)
    header = json.loads((fork / LOG_NAME).read_bytes().split(b"\n")[0])
    assert (header["parent"], header["parent_seq"]) == ("parent", 5)
    old = tmp_path / "old"
    old.mkdir()
    lines = (parent / LOG_NAME).read_bytes().split(b"\n")
    lines[0] = b'{"format":"goose-py session","version":1,"session_id":"old"}'
    (old / LOG_NAME).write_bytes(b"\n".join(lines[:3]) + b"\n")
    assert [record.seq for record in read_log(old).records] == [1, 2]
