"""Search over all sessions: derived from the logs, brought up to date, made anew when it is damaged."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from event_logs import MINE, finished, prompt, replied

from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.plan import Plan, PlanStep
from goose_py.session.index import SessionIndex
from goose_py.session.log import Log


def session(root, name, *events, title=""):
    log = Log.create(root / name, name, lambda: 1000.0)
    for event in (ev.SessionStarted(session_id=name, workspace="/w", model=MINE, title=title), *events):
        log.append(event)
    return log


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "sessions"
    session(
        folder,
        "s1",
        prompt("Mend the tokenizer, please"),
        replied("The café is open.", ToolCall(id="a", name="read")),
        finished("a", "def tokenize(text): return text.split()"),
        ev.PlanProposed(plan=Plan(steps=(PlanStep(title="rewrite the grammar"),))),
    ).close()
    session(folder, "s2", prompt("Paint the fence"), replied("It is green now."), title="Gardening").close()
    return folder


@pytest.fixture
def index(tmp_path, root):
    with SessionIndex(tmp_path / "state" / "index.db", root) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tokenizer", [("s1", "user")]),
        ("TOKENIZER please", [("s1", "user")]),
        ("tokeniz", [("s1", "title"), ("s1", "user"), ("s1", "tool")]),
        ("cafe", [("s1", "assistant")]),
        ("grammar", [("s1", "plan")]),
        ('"green now"', [("s2", "assistant")]),
        ('"now green"', []),
        ("gardening", [("s2", "title")]),
        ("fence green", []),
        ("tokenize(text)", [("s1", "tool")]),
        ("text.split()", [("s1", "tool")]),
        ('NEAR("a"', []),
        ("nothing-like-it", []),
    ],
)
def test_what_was_said_is_found_by_word_beginning_and_phrase(index, query, found):
    hits = index.search(query)
    expected = set(found)
    if ("s1", "user") in expected:
        expected.add(("s1", "title"))
    assert {(hit.session_id, hit.role) for hit in hits} == expected


def test_a_hit_names_the_session_the_place_and_what_was_found(index):
    (hit,) = index.search("green")
    assert (hit.session_id, hit.title, hit.seq, hit.at, hit.role) == ("s2", "Gardening", 3, 1000.0, "assistant")
    assert hit.snippet == "It is «green» now."


@pytest.mark.parametrize("query", ["", "  ", "***", '""', "\0"])
def test_a_query_without_a_word_is_one_sentence(index, query):
    with pytest.raises(UserError, match="at least one word"):
        index.search(query)


@pytest.mark.parametrize("query", ['a" OR "b', "a AND (b", "text:x", "x* NOT y", "col : z", "a\0b", "'; DROP TABLE said; --"])
def test_no_query_is_taken_for_the_index_own_language(index, query):
    assert index.search(query) == []


def test_a_session_that_goes_on_is_found_with_what_it_has_said_since(index, root):
    assert index.search("submarine") == []
    log, _ = Log.open(root / "s2", lambda: 2000.0)
    log.append(prompt("and now a submarine"))
    assert [hit.seq for hit in index.search("submarine")] == [4]
    log.append(ev.TitleSet(title="Sea"))
    assert index.search("submarine")[0].title == "Sea"
    log.close()


def test_a_session_that_is_gone_is_forgotten(index, root):
    assert index.search("fence")
    (root / "s2" / "log.jsonl").rename(root / "away")
    assert index.search("fence") == []


def test_what_a_fork_has_of_its_parent_is_found_in_the_parent_only(index, root):
    fork = Log.create(root / "fork", "fork", lambda: 3000.0, parent="s2", parent_seq=3)
    fork.append(prompt("Paint the gate instead"))
    fork.close()
    assert [hit.session_id for hit in index.search("fence")] == ["s2"]
    assert [hit.session_id for hit in index.search("gate")] == ["fork"]


def test_the_limit_is_kept(index, root):
    for number in range(5):
        session(root, f"more{number}", prompt("the same words")).close()
    assert len(index.search("same words", limit=3)) == 3


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"not a database at all" * 100),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192),
        lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 99").connection.commit(),
        lambda path: sqlite3.connect(path).execute("DROP TABLE said").connection.commit(),
    ],
    ids=["missing", "no database", "empty", "short", "garbled", "of another version", "without its table"],
)
def test_a_missing_or_damaged_index_is_made_anew(tmp_path, root, harm):
    path = tmp_path / "index.db"
    with SessionIndex(path, root) as index:
        expected = index.search("fence")
    for extra in tmp_path.glob("index.db-*"):
        extra.unlink()
    harm(path)
    with SessionIndex(path, root) as index:
        assert index.search("fence") == expected != []


def test_an_index_that_is_damaged_while_it_is_open_is_made_anew(tmp_path, root):
    path = tmp_path / "index.db"
    with SessionIndex(path, root) as index:
        expected = index.search("fence")
        index._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path.write_bytes(b"\xff" * path.stat().st_size)
        assert index.search("fence") == expected


def test_the_index_is_its_owners_alone(tmp_path, root):
    old = os.umask(0)
    try:
        with SessionIndex(tmp_path / "new" / "index.db", root) as index:
            index.search("fence")
            modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}, modes


def test_where_nothing_can_be_written_the_search_still_finds(tmp_path, root):
    (tmp_path / "file").write_text("in the way")
    with SessionIndex(tmp_path / "file" / "index.db", root) as index:
        assert index.search("fence")


def test_a_damaged_log_is_searched_as_far_as_it_can_be_read(index, root):
    path = root / "s2" / "log.jsonl"
    path.write_bytes(path.read_bytes() + b"garbage\n{half")
    assert index.search("fence")
    path.write_bytes(b"no log\n")
    assert index.search("fence") == [] and index.search("tokenizer")


def test_without_any_session_nothing_is_found(tmp_path):
    with SessionIndex(tmp_path / "index.db", tmp_path / "nowhere") as index:
        assert index.search("anything") == []


SEARCH = """
import sys
from pathlib import Path
from goose_py.session.index import SessionIndex
with SessionIndex(Path(sys.argv[1]), Path(sys.argv[2])) as index:
    for _ in range(20):
        assert index.search("fence"), "not found"
"""


def test_ten_programs_search_at_once_while_the_index_is_first_made(tmp_path, root):
    for number in range(30):
        session(root, f"more{number}", *[prompt(f"fence {n}", f"p{n}") for n in range(20)]).close()
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-P", "-c", SEARCH, str(tmp_path / "index.db"), str(root)]
    searching = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE) for _ in range(10)]
    assert [(process.communicate()[1], process.returncode) for process in searching] == [(b"", 0)] * 10
    with SessionIndex(tmp_path / "index.db", root) as index:
        assert len(index.search("fence", limit=1000)) == 30 * 20 + 30 + 1
