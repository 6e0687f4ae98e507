"""The event log under everything that can happen to a file: cuts, damage, lost texts, second writers, full disks, kills."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from event_logs import MINE, finished, numbered, prompt, replied

from goose_py.agent.context import fold
from goose_py.protocol import events as ev
from goose_py.protocol.codec import decode, encode
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Image, Text, Thinking, ToolCall, ToolResult
from goose_py.session.log import BLOB_RECORD_SIZE, Log, LogBusy, LogWriteFailed, read_log

ROOT = Path(__file__).parents[2]
READ = ToolCall(id="a", name="read", arguments={"path": "x"})
EVENTS = [
    ev.SessionStarted(session_id="s", workspace="/w", model=MINE),
    prompt("grüße\u2028an alle"),
    ev.TurnStarted(turn=1),
    replied("I look.", READ),
    ev.ToolStarted(call=READ),
    finished("a", "line\u0085one"),
    ev.TurnEnded(outcome="done"),
]


def now():
    return 1000.0


def written(folder, events=EVENTS):
    log = Log.create(folder, "s", now)
    for event in events:
        log.append(event)
    log.close()
    return folder / "log.jsonl"


def reopened(folder):
    log, contents = Log.open(folder, now)
    log.close()
    return contents


def program(body):
    """A Python process of its own, as a second goose-py would be."""
    return [sys.executable, "-P", "-c", textwrap.dedent(body)]


def started(body, *arguments, **options):
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    return subprocess.Popen(
        [*program(body), *map(str, arguments)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def test_what_was_appended_is_read_back_in_order(tmp_path):
    written(tmp_path)
    contents = read_log(tmp_path)
    assert [record.event for record in contents.records] == EVENTS
    assert [record.seq for record in contents.records] == list(range(1, len(EVENTS) + 1))
    assert (contents.header.session_id, contents.problems, contents.torn, contents.warnings()) == ("s", (), 0, ())


def test_a_log_and_its_folder_are_its_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        path = written(tmp_path / "s", [prompt("x" * 100_000)])
    finally:
        os.umask(old)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in [path.parent, *path.parent.rglob("*")]}
    assert set(modes.values()) <= {0o700, 0o600}, modes


@pytest.mark.case("R31")
def test_a_log_cut_at_every_byte_of_its_last_record_opens_and_goes_on(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(start, len(whole)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "log.jsonl").write_bytes(whole[:cut])
        log, contents = Log.open(folder, now)
        assert [record.event for record in contents.records] == EVENTS[:-1]
        assert contents.torn == cut - start
        record = log.append(ev.Warned(text="after"))
        log.close()
        again = read_log(folder)
        assert [item.event for item in again.records] == [*EVENTS[:-1], ev.Warned(text="after")]
        assert (again.problems, record.seq) == ((), len(EVENTS))
        aside = folder / "log.jsonl.torn1"
        assert (aside.read_bytes() if cut > start else None) == (whole[start:cut] or None)
        assert bool(contents.warnings()) is (cut > start)


def test_each_torn_tail_is_kept_in_a_file_of_its_own(tmp_path):
    path = written(tmp_path)
    for number in (1, 2):
        with path.open("ab") as stream:
            stream.write(b'{"half": %d' % number)
        reopened(tmp_path)
    assert [(tmp_path / f"log.jsonl.torn{number}").read_bytes() for number in (1, 2)] == [b'{"half": 1', b'{"half": 2']


@pytest.mark.parametrize("keep", range(0, 40, 7))
def test_a_header_that_was_cut_is_written_again(tmp_path, keep):
    path = written(tmp_path, [])
    path.write_bytes(path.read_bytes()[:keep])
    log, contents = Log.open(tmp_path, now)
    log.append(EVENTS[0])
    log.close()
    assert contents.records == ()
    assert [record.event for record in read_log(tmp_path).records] == EVENTS[:1]


@pytest.mark.parametrize("line", range(len(EVENTS) + 1))
@pytest.mark.parametrize(
    "damage", [b"", b"\0" * 50, b"{}", b'{"seq":', b"\xff\xfe", b'{"blobs":{"/event/text":"0"}}', b'{"blobs":5}']
)
def test_a_damaged_line_in_the_middle_is_passed_over_and_said(tmp_path, line, damage):
    path = written(tmp_path)
    lines = path.read_bytes().split(b"\n")
    lines[line] = damage
    path.write_bytes(b"\n".join(lines))
    contents = reopened(tmp_path)
    expected = EVENTS if line == 0 else EVENTS[: line - 1] + EVENTS[line:]
    assert [record.event for record in contents.records] == expected
    assert len(contents.problems) == 1
    assert contents.warnings()[0].startswith("The session log is damaged at byte")
    log, _ = Log.open(tmp_path, now)
    assert log.append(ev.Warned(text="next")).seq == len(EVENTS) + 1
    log.close()


@pytest.mark.parametrize("content", [b"hello\n", b"\x7fELF\0\0\n\n", b'{"format":"another","version":1,"session_id":""}\n'])
def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "log.jsonl").write_bytes(content)
    with pytest.raises(UserError, match="is not a goose-py session log"):
        Log.open(tmp_path, now)
    assert (tmp_path / "log.jsonl").read_bytes() == content


def test_a_log_of_a_newer_format_says_to_update(tmp_path):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2', 1))
    with pytest.raises(UserError, match="newer goose-py"):
        Log.open(tmp_path, now)


@pytest.mark.parametrize("find", [Log.open, lambda folder, clock: read_log(folder)])
def test_a_folder_without_a_log_is_one_sentence(tmp_path, find):
    with pytest.raises(UserError, match="There is no session log in"):
        find(tmp_path / "nowhere", now)


def test_a_session_is_not_created_twice(tmp_path):
    written(tmp_path)
    with pytest.raises(UserError, match="exists already"):
        Log.create(tmp_path, "s", now)
    assert len(reopened(tmp_path).records) == len(EVENTS)


# Long texts

LONG = "ä\u2028\x00" * BLOB_RECORD_SIZE
SIGNED = Thinking(text="because", signature="s" * 100_000)


@pytest.mark.parametrize(
    "event",
    [
        prompt(LONG),
        prompt("look", "p", "now", Image(media_type="image/png", data="A" * 200_000)),
        replied(SIGNED, ToolCall(id="a/~b", name="write", arguments={"a/b~c": ["x", {"~": LONG}], "n": 1.5})),
        finished("a", LONG, is_error=True),
        ev.ContextAdded(source="blobs", text='{"blobs":' + LONG),
    ],
    ids=["prompt", "picture", "call", "result", "odd"],
)
def test_a_long_text_is_stored_once_beside_the_log_and_comes_back_exactly(tmp_path, event):
    path = written(tmp_path, [event, event])
    assert [record.event for record in reopened(tmp_path).records] == [event, event]
    assert path.stat().st_size < 5_000
    stored = [blob.read_text() for blob in (tmp_path / "blobs").iterdir()]
    assert len(stored) == len(set(stored)) <= 2 and max(map(len, stored)) > BLOB_RECORD_SIZE


def test_a_record_of_many_short_texts_stays_in_the_log(tmp_path):
    event = ev.PromptReceived(prompt_id="p", parts=tuple(Text("x" * 1000) for _ in range(100)))
    written(tmp_path, [event])
    assert not (tmp_path / "blobs").exists()
    assert reopened(tmp_path).records[0].event == event


@pytest.mark.parametrize("harm", ["missing", "changed", "no text", "a folder"])
@pytest.mark.parametrize(
    ("event", "left"),
    [
        (prompt(LONG), prompt("[a long text that was stored here is lost]")),
        (finished("a", LONG), finished("a", "[a long text that was stored here is lost]")),
        (
            ev.ToolFinished(
                result=ToolResult(call_id="a", content=(Text("shot"), Image(media_type="image/png", data="A" * 200_000)))
            ),
            ev.ToolFinished(
                result=ToolResult(call_id="a", content=(Text("shot"), Text("[a picture that was stored here is lost]")))
            ),
        ),
        (replied(SIGNED, "so"), replied(Thinking(text="", signature=None), "so")),
    ],
    ids=["prompt", "result", "picture", "thinking"],
)
def test_a_lost_text_costs_that_text_and_not_its_record(tmp_path, event, left, harm):
    written(tmp_path, [event, ev.Warned(text="next")])
    (blob,) = (tmp_path / "blobs").iterdir()
    match harm:
        case "changed":
            blob.write_bytes(b"something else")
        case "no text":
            blob.write_bytes(b"\xff\xff")
        case _:
            blob.unlink()
            if harm == "a folder":
                blob.mkdir()
    contents = reopened(tmp_path)
    assert [record.event for record in contents.records] == [left, ev.Warned(text="next")]
    assert blob.name in contents.warnings()[0]
    log, _ = Log.open(tmp_path, now)
    assert log.append(EVENTS[0]).seq == 3
    log.close()


# More than one process

HOLD = """
    import sys, time
    from pathlib import Path
    from goose_py.session.log import Log
    log, _ = Log.open(Path(sys.argv[1]), time.time)
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.case("R34")
def test_a_second_writer_is_refused_by_name_and_a_dead_one_is_taken_over(tmp_path):
    written(tmp_path)
    holder = started(HOLD, tmp_path, stdin=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(LogBusy, match=f"in use by another process \\(pid {holder.pid} on "):
            Log.open(tmp_path, now)
        assert len(read_log(tmp_path).records) == len(EVENTS)
    finally:
        holder.kill()
        holder.wait()
    assert len(reopened(tmp_path).records) == len(EVENTS)


WRITE = """
    import os, sys, time
    from pathlib import Path
    from goose_py.protocol import events as ev
    from goose_py.session.log import Log
    log, contents = Log.open(Path(sys.argv[1]), time.time)
    number = len(contents.records)
    while True:
        log.append(ev.Warned(text=f"{number} " + "x" * (number * 37 % 9000)))
        number += 1
        os.write(1, b"%d\\n" % number)
"""


@pytest.mark.case("R31")
def test_a_writer_that_is_killed_again_and_again_loses_nothing_it_had_appended(tmp_path):
    written(tmp_path, [])
    acknowledged = 0
    for _ in range(8):
        writer = started(WRITE, tmp_path)
        for _ in range(25):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.communicate()
        acknowledged = int(rest[-1]) if rest else acknowledged
        contents = reopened(tmp_path)
        assert len(contents.records) in (acknowledged, acknowledged + 1)
        assert [int(record.event.text.split()[0]) for record in contents.records] == list(range(len(contents.records)))
        assert contents.problems == ()


MANY = """
    import sys, time
    from pathlib import Path
    from goose_py.protocol import events as ev
    from goose_py.session.log import Log
    root, me = Path(sys.argv[1]), sys.argv[2]
    log = Log.create(root / me, me, time.time)
    for number in range(200):
        log.append(ev.Warned(text=f"{me} {number} " + "y" * 70000 * (number % 50 == 0)))
    log.close()
"""


def test_ten_programs_at_once_write_ten_whole_logs(tmp_path):
    writers = [started(MANY, tmp_path, f"s{number}") for number in range(10)]
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0)] * 10
    for number in range(10):
        records = read_log(tmp_path / f"s{number}").records
        assert [record.event.text.split()[:2] for record in records] == [[f"s{number}", str(n)] for n in range(200)]


# No space left

FULL = """
    import resource, sys, time
    from pathlib import Path
    from goose_py.protocol import events as ev
    from goose_py.protocol.errors import GooseError
    from goose_py.session.log import Log
    log, _ = Log.open(Path(sys.argv[1]), time.time)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
    sizes = []
    try:
        for number in range(10_000):
            sizes.append(log.append(ev.Warned(text=f"{number} " + "x" * 100)).seq)
    except GooseError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(log.append(ev.Warned(text="there is room again")).seq, len(sizes))
"""


@pytest.mark.parametrize("limit", [4096, 4097, 5000, 65536])
def test_a_record_that_finds_no_room_is_rolled_back_and_the_log_goes_on_when_there_is_some(tmp_path, limit):
    written(tmp_path, [])
    done = subprocess.run(
        [*program(FULL), str(tmp_path), str(limit)], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    sentence, figures = done.stdout.splitlines()
    assert sentence.startswith(f"Cannot write the session log in {tmp_path}: ")
    seq, count = map(int, figures.split())
    contents = read_log(tmp_path)
    assert seq == count + 1 == len(contents.records)
    assert contents.records[-1].event.text == "there is room again"
    assert (contents.problems, contents.torn) == ((), 0)


@pytest.mark.parametrize("large", [10_000, 200_000])
def test_a_device_without_space_costs_one_sentence_and_no_record(tmp_path, large):
    """A real full device where one can be mounted, a file size limit elsewhere: the blob is what finds no room."""
    log = Log.create(tmp_path, "s", now)
    log.append(EVENTS[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(LogWriteFailed, match="Cannot write the session log"):
            log.append(prompt("z" * large))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append(prompt("small"))
    log.close()
    assert [record.event for record in read_log(tmp_path).records] == [EVENTS[0], prompt("small")]
    assert not any((tmp_path / "blobs").glob("*")) if (tmp_path / "blobs").exists() else True


def test_a_session_that_cannot_be_begun_leaves_no_half_log(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(LogWriteFailed):
            Log.create(tmp_path / "s", "s", now)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "s" / "log.jsonl").exists()
    Log.create(tmp_path / "s", "s", now).close()


def test_closing_twice_does_nothing(tmp_path):
    log = Log.create(tmp_path, "s", now)
    log.close()
    log.close()


def test_every_prefix_of_a_log_is_a_conversation(tmp_path):
    for size in range(len(EVENTS) + 1):
        folder = tmp_path / str(size)
        written(folder, EVENTS[:size])
        assert fold(read_log(folder).records).messages() == fold(numbered(EVENTS[:size])).messages()


def test_a_line_is_json_that_other_programs_read(tmp_path):
    path = written(tmp_path)
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == len(EVENTS) + 1
    assert [json.loads(line)["event"]["type"] for line in lines[1:]][:2] == ["session_started", "prompt_received"]
    assert decode(encode(EVENTS[1]), ev.PromptReceived) == EVENTS[1]
