"""What a rebase has left to resolve, and what counts as a marker that is left."""

import pytest

from goose_py.git.trees.conflicts import conflict_markers
from goose_py.protocol import events as ev
from goose_py.protocol.resolving import Resolving, resolving


def _log(*events: ev.DurableEvent) -> list[ev.Record]:
    return [ev.Record(seq=seq, at=0.0, event=event) for seq, event in enumerate(events, 1)]


def _rebased(*conflicts: str, base_tree: str = "tip") -> ev.Rebased:
    return ev.Rebased(base="c", base_tree=base_tree, tree="merged", undo="task", conflicts=conflicts)


def _applied(tree: str, how: str = "squash") -> ev.ChangesApplied:
    return ev.ChangesApplied(base_tree="b", result_tree="r", tree=tree, how=how, target="main")


def test_conflicts_stay_until_they_are_resolved_or_their_markers_are_applied():
    assert resolving(_log(_rebased())) == ()
    first = _log(_rebased("a", "b"), _rebased(), ev.TitleSet(title="x"))
    assert resolving(first) == (Resolving("a", ("tip", "task")), Resolving("b", ("tip", "task")))
    again = _log(_rebased("a", "b"), _rebased("b", base_tree="later"))
    assert resolving(again) == (Resolving("a", ("tip", "task")), Resolving("b", ("later", "task")))
    assert resolving(_log(_rebased("a"), _applied("out"))) == (Resolving("a", ("out",)),)
    assert resolving(_log(_rebased("a"), _applied("out", ev.DELIVERED))) == (Resolving("a", ("tip", "task")),)


@pytest.mark.parametrize(("content", "count"), [
    (b"<<<<<<< main\na\n||||||| 1234\nb\n=======\nc\n>>>>>>> task-1\n", 4), (b"=======\r\n>>>>>>> x\r\n", 2),
    (b"<<<<<<<\n", 1), (b" <<<<<<< main\n", 0), (b"<<<<<<<<< main\n", 0), (b"Title\n========\n", 0), (b"=======x\n", 0),
    (b"", 0), (b"\xff\n>>>>>>> \xff\n", 1),
])  # fmt: skip
def test_a_marker_is_what_git_takes_for_one(content: bytes, count: int):
    assert conflict_markers(content).total() == count
