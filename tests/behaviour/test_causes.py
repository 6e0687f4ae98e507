"""Why a hunk is there, from a real repository's trees and the log that names them."""

from pathlib import Path

from git_repos import Place

from goose_py.git.trees.diff import changeset_summary, file_change
from goose_py.protocol import events as ev
from goose_py.protocol.messages import AssistantMessage, ModelRef, Text, ToolCall
from goose_py.tasks.history.causes import Cause, causes, spans_of

LINES = "".join(f"{number}\n" for number in range(0, 60))
MODEL = ModelRef(provider="p", model="m")


def log(*events: ev.DurableEvent) -> list[ev.Record]:
    return [ev.Record(seq=number, at=float(number), event=event) for number, event in enumerate(events, 1)]


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall(id=name, name=name, arguments=arguments)


def said(text: str) -> ev.ModelReplied:
    return ev.ModelReplied(message=AssistantMessage(parts=(Text(text),), origin=MODEL, stop_reason="end"))


EDIT = call("edit", path="cart.py", old_string="return 1", new_string="return 2\nprint()")
SHELL = call("shell", command="sed -i s/a/b/ cart.py")
WORK = (
    ev.PromptReceived(prompt_id="p", parts=(Text("Fix\nit"),)),
    ev.TurnStarted(turn=1),
    ev.PlanStepStarted(index=0, title="Mend the total"),
    said("I mend it."),
    ev.ToolStarted(call=EDIT),
)


def recorded(tree: str, call_id: str = "", during: bool = False) -> ev.StateRecorded:
    return ev.StateRecorded(tree=tree, state=tree, call_id=call_id, during=during)


def test_each_change_is_of_the_call_after_which_it_was_recorded_with_what_that_was_made_for():
    records = log(
        recorded("a"),
        *WORK,
        recorded("b", "edit"),
        ev.PlanStepFinished(index=0, title="Mend the total", status="completed"),
        ev.ToolStarted(call=SHELL),
        recorded("b", "shell"),
        ev.ToolStarted(call=SHELL),
        recorded("c", "shell", during=True),
        recorded("d"),
        ev.ChangesRecorded(tree_before="a", tree_after="d"),
        ev.TurnEnded(outcome="done"),
    )
    base, since, spans = spans_of(records, "a")
    made = Cause(turn=1, prompt="Fix it", step="Mend the total", said="I mend it.", call="Edit cart.py", name="1.1")
    assert (base, since) == ("a", "a") and [span.tree for span in spans] == ["b", "c", "d"]
    assert spans[0].cause == made and spans[2].cause == Cause()
    assert spans[1].cause.name == "1.3" and spans[1].cause.during and "sed -i" in spans[1].cause.call


def test_a_log_of_an_earlier_version_knows_the_turn_and_the_call_where_it_was_the_only_one():
    once = (*WORK, ev.ChangesRecorded(tree_before="a", tree_after="b"))
    assert spans_of(log(*once), "a")[2][0].cause.call == "Edit cart.py"
    twice = (*WORK, ev.ToolStarted(call=SHELL), ev.ChangesRecorded(tree_before="a", tree_after="b"))
    (span,) = spans_of(log(*twice, ev.ChangesRecorded(tree_before="b", tree_after="b")), "a")[2]
    assert (span.cause.turn, span.cause.call, span.cause.step) == (1, "", "Mend the total")
    assert "turn 1" in span.cause.sentence() and "by hand" in Cause().sentence()


async def test_every_hunk_of_a_real_change_is_told_its_turn_and_what_a_hand_did(tmp_path: Path):
    place = Place(tmp_path)
    place.commit({"f.txt": LINES})
    worktree = await place.task()
    trees = [worktree.base.tree]
    for old, new in (("1", "one"), ("20", "twenty"), ("40", "by hand"), ("50", "later")):
        text = (worktree.path / "f.txt").read_text().replace(f"\n{old}\n", f"\n{new}\n")
        (worktree.path / "f.txt").write_text(text)
        trees.append((await worktree.snapshot()).tree)
    events = (
        ev.TurnStarted(turn=1),
        ev.ToolStarted(call=call("write", path="f.txt", content="one")),
        recorded(trees[1], "write"),
        ev.TurnStarted(turn=2),
        ev.ToolStarted(call=SHELL),
        recorded(trees[2], "shell"),
    )
    found = await causes(worktree.store, log(*events), trees[0], trees[3], "f.txt")
    file = await file_change(worktree.store, await changeset_summary(worktree.store, trees[0], trees[3]), "f.txt")
    assert [found[each.id][0].turn for each in file.hunks or ()] == [1, 2, 0]
    assert "sed -i" in found[(file.hunks or ())[1].id][0].call
    # What was applied is no longer asked about, and what is left keeps its cause.
    applied = ev.ChangesApplied(base_tree=trees[0], result_tree=trees[2], tree=trees[1], how="worktree", target="t")
    later = (*events, applied, ev.TurnStarted(turn=3), ev.ToolStarted(call=SHELL), recorded(trees[4], "shell"))
    left = await causes(worktree.store, log(*later), trees[0], trees[4], "f.txt")
    assert [told[0].name for told in left.values()] == ["2.1", "3.1", "3.1"]
