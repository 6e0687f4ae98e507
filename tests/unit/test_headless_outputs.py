"""The three outputs and the exit code, by replaying logs into them."""

import io
import json
import os

import pytest
from tui.recorded import DANGEROUS, RESULT_TREE, Log, call, coupon, prompt, reply, started, tool, usage

from goose_py.headless.outputs import JsonOutput, StreamJsonOutput
from goose_py.headless.result import RunResult, exit_code, fold
from goose_py.headless.text import TextOutput
from goose_py.protocol import events as ev
from goose_py.protocol.codec import Header, decode, decode_record
from goose_py.protocol.deltas import TextDelta

HOSTILE = "\x1b]52;c;QUFB\x07\x1b[2J\x9b31m\rgone\b[red]x[/] [@click=app.quit]y[/] \u202e"


def run_of(records: list[ev.Record]) -> RunResult:
    run = RunResult()
    for record in records:
        run = fold(run, record)
    return run


def ended(outcome: str, *before: ev.DurableEvent, **session: object) -> RunResult:
    log = Log().add(started(**session), prompt("x"), ev.TurnStarted(turn=1), *before)
    return run_of(log.add(ev.TurnEnded(outcome=outcome)).records)  # type: ignore[arg-type]


def check(code: int | None, tree: str = RESULT_TREE) -> ev.VerificationFinished:
    return ev.VerificationFinished(command="pytest -q", exit_code=code, tree=tree)


ASKED = ev.ApprovalRequested(approval_id="a1", call=DANGEROUS, reason="not covered")
DENIED = ev.ApprovalResolved(approval_id="a1", allowed=False, by="policy", note="nobody can answer")


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (ended("done"), 0),
        (ended("done", check(1), check(0)), 0),
        (ended("done", check(0), check(1)), 6),
        (ended("done", check(None)), 6),
        (ended("done", ASKED, DENIED), 3),
        (ended("done", ASKED, DENIED, check(0)), 0),
        (ended("done", ASKED, ev.ApprovalResolved(approval_id="a1", allowed=False, by="user")), 0),
        (ended("failed"), 1),
        (ended("stuck"), 1),
        (ended("denied", ASKED, DENIED), 3),
        (ended("awaiting_plan"), 3),
        (ended("limit", limits=ev.Limits(max_cost=1.0)), 4),
        (ended("limit", limits=ev.Limits(max_seconds=1.0)), 124),
        (ended("limit", limits=ev.Limits(max_seconds=100.0)), 4),
        (ended("provider_error"), 5),
        (ended("interrupted"), 130),
        (RunResult(), 1),
    ],
)
def test_the_exit_code_says_what_the_run_came_to(run: RunResult, code: int):
    assert exit_code(run) == code


def test_running_out_of_time_is_124_whatever_the_log_says():
    assert exit_code(ended("interrupted"), timed_out=True) == 124


def test_a_check_on_another_tree_is_no_evidence():
    changed = ev.ChangesRecorded(tree_before="a" * 40, tree_after="c" * 40, files=1, added=1)
    assert not ended("done", check(0), changed).verified
    assert ended("done", check(0, "c" * 40), changed).verified


def test_a_second_turn_is_judged_by_its_own_end():
    log = Log().add(started(), ev.TurnStarted(turn=1), reply("first"), ev.TurnEnded(outcome="provider_error"))
    log.add(ev.TurnStarted(turn=2), reply("second"), ev.TurnEnded(outcome="done"))
    run = run_of(log.records)
    assert exit_code(run) == 0 and run.result == "second" and run.turns == 2


def test_text_puts_the_answer_alone_on_standard_output():
    out, err = io.StringIO(), io.StringIO()
    output = TextOutput(out, err, width=100)
    for record in coupon():
        output.consume(record)
    assert output.finish() == 0
    assert out.getvalue() == "The coupon now comes off the full subtotal; the gift card is a payment. All 15 tests pass.\n"
    progress = err.getvalue()
    for wanted in (
        "anthropic/sonnet-5 · high",
        "plan  0/5",
        "step 3/5  Reorder coupon and gift card",
        "Read  src/cart.py  1–214",
        "14 passed, 1 failed",
        "needs approval: shell",
        "rm -rf .tox && tox -e py311",
        "check  pytest -q  passed in 6.0s",
        "changed 2 files  +40 −18",
        "session 7f3a9c21",
    ):
        assert wanted in progress, wanted
    assert "gift card is a payment" not in progress


def test_text_without_an_answer_leaves_standard_output_empty_and_says_why():
    out, err = io.StringIO(), io.StringIO()
    output = TextOutput(out, err, width=100)
    for record in coupon("approval"):
        output.consume(record)
    assert output.finish(error="The worker ended before its task did.") == 1
    assert out.getvalue() == ""
    assert "The worker ended before its task did." in err.getvalue() and "exit code 1" in err.getvalue()


def test_quiet_text_writes_nothing_but_the_answer():
    out, err = io.StringIO(), io.StringIO()
    output = TextOutput(out, err, width=100, quiet=True)
    for record in coupon():
        output.consume(record)
    output.finish()
    assert err.getvalue() == "" and out.getvalue().startswith("The coupon")


def test_text_on_a_stream_that_is_not_unicode_draws_ascii():
    raw = io.BytesIO()
    err = io.TextIOWrapper(raw, encoding="latin-1", errors="backslashreplace", write_through=True)
    output = TextOutput(io.StringIO(), err, width=100)
    for record in coupon():
        output.consume(record)
    output.finish()
    assert b"+ Read  src/cart.py  1-214" in raw.getvalue() and b"\\u2713" not in raw.getvalue()


def hostile_log() -> list[ev.Record]:
    made = call("k1", "shell", command=f"echo {HOSTILE}")
    log = Log().add(started(title=HOSTILE, branch=HOSTILE), prompt(HOSTILE), ev.TurnStarted(turn=1), reply(HOSTILE, made))
    log.add(*tool(made, HOSTILE), ev.Warned(text=HOSTILE), ev.ModelRetried(attempt=1, delay=1.0, reason=HOSTILE))
    log.add(ev.ApprovalRequested(approval_id="a1", call=made, reason=HOSTILE))
    log.add(ev.VerificationFinished(command=HOSTILE, exit_code=1, tree=None, output=HOSTILE), reply(HOSTILE))
    return log.add(ev.ExtensionChanged(extension="x", state="failed", detail=HOSTILE), ev.TurnEnded(outcome="done")).records


def control_characters(text: str) -> set[str]:
    return {char for char in text if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 or char == "\u202e"}


@pytest.mark.case("A34")
@pytest.mark.case("A35")
@pytest.mark.case("A36")
@pytest.mark.parametrize("kind", ["text", "json", "stream-json"])
def test_no_control_character_of_foreign_text_reaches_the_streams(kind: str):
    out, err = io.StringIO(), io.StringIO()
    output = {
        "text": lambda: TextOutput(out, err, width=100),
        "json": lambda: JsonOutput(out),
        "stream-json": lambda: StreamJsonOutput(out, deltas=True),
    }[kind]()
    for record in hostile_log():
        output.consume(record)
    output.consume(TextDelta(HOSTILE))
    output.finish()
    assert control_characters(out.getvalue()) == set() and control_characters(err.getvalue()) == set()
    if kind == "text":
        assert "[red]x[/] [@click=app.quit]y[/]" in err.getvalue() and "\\x1b]52;c;QUFB" in out.getvalue()
    else:
        assert HOSTILE in json.loads(out.getvalue().splitlines()[-1])["result"]


@pytest.mark.case("A34")
def test_raw_leaves_the_answer_as_the_model_wrote_it():
    out = io.StringIO()
    output = TextOutput(out, io.StringIO(), width=100, raw=True)
    for record in hostile_log():
        output.consume(record)
    output.finish()
    assert out.getvalue() == HOSTILE + "\n"


def test_json_is_one_document_with_everything_a_script_asks_for():
    out = io.StringIO()
    output = JsonOutput(out)
    records = coupon()
    for record in records[:-1]:
        output.consume(record)
    output.consume(ev.Record(seq=90, at=records[-1].at, event=ev.FinalOutput(value={"ok": True})))
    output.consume(records[-1])
    assert out.getvalue() == "" and output.finish() == 0
    document = json.loads(out.getvalue())
    assert document["format"] == "goose-py result" and document["version"] == 1
    assert document["session_id"] == "7f3a9c21" and document["outcome"] == "done" and document["exit_code"] == 0
    assert document["output"] == {"ok": True} and document["result"].startswith("The coupon now")
    assert document["usage"]["output_tokens"] == 3500 and document["cost"] == 0.5 and document["cost_complete"]
    assert document["changes"]["files"] == 2 and document["checks"][0]["passed"] and document["verified"]
    assert document["provider"] == "anthropic" and document["effort"] == "high"
    assert document["plan"]["done"] == 5 and len(document["plan"]["steps"]) == 5


def test_json_tells_of_an_end_that_no_record_tells_of():
    out = io.StringIO()
    output = JsonOutput(out)
    assert output.finish(error="There is no provider named acme.", code=2) == 2
    document = json.loads(out.getvalue())
    assert document["exit_code"] == 2 and document["detail"] == "There is no provider named acme."
    assert document["outcome"] is None


def test_stream_json_is_a_log_followed_by_the_result():
    out = io.StringIO()
    output = StreamJsonOutput(out)
    records = coupon()
    for record in records:
        output.consume(record)
        output.consume(TextDelta("not for this stream"))
    assert output.finish() == 0
    lines = out.getvalue().split("\n")
    assert lines.pop() == ""
    assert decode(lines[0], Header) == Header(session_id="7f3a9c21")
    assert [decode_record(line.encode()) for line in lines[1:-1]] == records
    assert json.loads(lines[-1])["type"] == "result"


def test_stream_json_writes_each_record_when_it_comes_and_deltas_where_they_are_wanted():
    out = io.StringIO()
    output = StreamJsonOutput(out, deltas=True)
    output.consume(coupon()[0])
    output.consume(TextDelta("now"))
    assert [json.loads(line).get("type") for line in out.getvalue().splitlines()] == [None, None, "text_delta"]


def test_json_separators_inside_text_do_not_split_a_line():
    out = io.StringIO()
    output = StreamJsonOutput(out)
    for record in Log().add(started(), reply("a\u2028b\u0085c\nd")).records:
        output.consume(record)
    output.finish()
    assert len(out.getvalue().splitlines()) == 4


@pytest.mark.parametrize("kind", ["text", "json", "stream-json"])
def test_a_closed_pipe_is_no_failure(kind: str):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(os.dup(writing), "w", buffering=1) as other, os.fdopen(writing, "w", buffering=1) as pipe:
        output = {
            "text": lambda: TextOutput(pipe, other, width=100),
            "json": lambda: JsonOutput(pipe),
            "stream-json": lambda: StreamJsonOutput(pipe),
        }[kind]()
        for record in coupon():
            output.consume(record)
        assert output.finish() == 0
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, pipe.fileno())
        os.dup2(null, other.fileno())
        os.close(null)


def test_a_denied_tool_is_reported_in_the_document():
    log = Log().add(started(), ev.TurnStarted(turn=1), reply("", DANGEROUS), ASKED, DENIED, usage(cost=None))
    out = io.StringIO()
    output = JsonOutput(out)
    for record in log.add(ev.TurnEnded(outcome="denied")).records:
        output.consume(record)
    assert output.finish() == 3
    document = json.loads(out.getvalue())
    assert document["denied"] == [{"tool": "shell", "reason": "nobody can answer", "by": "policy"}]
    assert document["cost_complete"] is False
