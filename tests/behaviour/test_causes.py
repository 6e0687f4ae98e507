"""Why a hunk is there, from a real repository's trees and the log that names them."""

from pathlib import Path

from git_repos import Place

from goose_py.git.trees.diff import changeset_summary, file_change
from goose_py.protocol import events as ev
from goose_py.protocol.changes import Hunk
from goose_py.protocol.messages import AssistantMessage, ModelRef, Text, ToolCall
from goose_py.tasks.history.causes import Called, Cause, Span, causes, causes_of, spans_of

LINES = "".join(f"{number}\n" for number in range(0, 60))
MODEL = ModelRef(provider="p", model="m")


def log(*events: ev.DurableEvent) -> list[ev.Record]:
    return [ev.Record(seq=number, at=float(number), event=event) for number, event in enumerate(events, 1)]


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall(id=name, name=name, arguments=arguments)


def said(text: str) -> ev.ModelReplied:
    return ev.ModelReplied(message=AssistantMessage(parts=(Text(text),), origin=MODEL, stop_reason="end"))


def hunk(*lines: str) -> Hunk:
    return Hunk(id="h", old_start=1, old_lines=1, new_start=1, new_lines=1, lines=lines)


EDIT = call("edit", path="cart.py", old_string="return 1", new_string="return 2\nprint()")
SHELL = call("shell", command="sed -i s/a/b/ cart.py")


def test_a_span_holds_the_calls_between_two_trees_with_what_they_were_made_for():
    records = log(
        ev.PromptReceived(prompt_id="p", parts=(Text("Fix\nit"),)),
        ev.TurnStarted(turn=1),
        ev.PlanStepStarted(index=0, title="Mend the total"),
        said("I mend it."),
        ev.ToolStarted(call=EDIT),
        ev.PlanStepFinished(index=0, title="Mend the total", status="completed"),
        ev.ToolStarted(call=SHELL),
        ev.ChangesRecorded(tree_before="a", tree_after="b"),
        ev.ChangesRecorded(tree_before="b", tree_after="c"),
    )
    base, spans = spans_of(records, "a")
    made = Cause(turn=1, prompt="Fix it", step="Mend the total", said="I mend it.")
    assert base == "a"
    assert spans[0].calls[0] == Called(EDIT, made)
    assert spans[0].calls[1].cause.step == "" and spans[1] == Span("c")


def test_what_was_left_out_when_something_was_applied_may_come_from_any_earlier_call():
    records = log(
        ev.TurnStarted(turn=1),
        ev.ToolStarted(call=EDIT),
        ev.ChangesRecorded(tree_before="a", tree_after="b"),
        ev.ChangesApplied(base_tree="a", result_tree="b", tree="k", how="worktree", target="t"),
    )
    base, spans = spans_of(records, "a")
    assert base == "k" and spans[0].tree == "b" and [called.call for called in spans[0].calls] == [EDIT]


def test_a_line_is_the_calls_that_carries_it_else_of_the_one_that_names_the_file():
    span = Span("b", (Called(EDIT, Cause(turn=1)), Called(SHELL, Cause(turn=1))))
    lines = hunk("-    return 1\n", "+    return 2\n", "+    other\n")
    assert [(cause.lines, cause.call) for cause in causes_of(span, lines, (0, 1), "cart.py")] == [((0, 1), "Edit cart.py")]
    assert causes_of(span, lines, (2,), "cart.py")[0].call == "Edit cart.py"
    assert "sed -i" in causes_of(span, lines, (2,), "else.py")[0].call
    assert causes_of(Span("b"), lines, (2,), "cart.py") == [Cause(lines=(2,))]


async def test_every_hunk_of_a_real_change_is_told_its_turn_and_what_a_hand_did(tmp_path: Path):
    place = Place(tmp_path)
    place.commit({"f.txt": LINES})
    worktree = await place.task()
    trees = [worktree.base.tree]
    for old, new in (("1", "one"), ("20", "twenty"), ("40", "by hand")):
        text = (worktree.path / "f.txt").read_text().replace(f"\n{old}\n", f"\n{new}\n")
        (worktree.path / "f.txt").write_text(text)
        trees.append((await worktree.snapshot()).tree)
    records = log(
        ev.TurnStarted(turn=1),
        ev.ToolStarted(call=call("write", path="f.txt", content="one")),
        ev.ChangesRecorded(tree_before=trees[0], tree_after=trees[1]),
        ev.TurnStarted(turn=2),
        ev.ToolStarted(call=call("shell", command="sed -i s/20/twenty/ f.txt")),
        ev.ChangesRecorded(tree_before=trees[1], tree_after=trees[2]),
    )
    found = await causes(worktree.store, records, trees[0], trees[3], "f.txt")
    file = await file_change(worktree.store, await changeset_summary(worktree.store, trees[0], trees[3]), "f.txt")
    assert [found[each.id][0].turn for each in file.hunks or ()] == [1, 2, 0]
    assert "sed -i" in found[(file.hunks or ())[1].id][0].call
