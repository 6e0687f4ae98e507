"""Which tasks may begin: a pure function of specs and summaries."""

import pytest
from msgspec import structs

from goose_py.actions.tasks.start import tasks_of_text
from goose_py.tasks.glob_overlap import may_overlap
from goose_py.tasks.schedule import Known, Schedule, schedule
from goose_py.tasks.spec import TaskSpec
from goose_py.tasks.summary import TaskSummary


def known(task_id: str, state: str = "queued", *, alive: bool = False, repository: str = "/r", **spec: object) -> Known:
    return Known(
        TaskSpec(task_id=task_id, folder=repository, created_at=float(len(task_id)), **spec),  # type: ignore[arg-type]
        TaskSummary(task_id=task_id, state=state, alive=alive, repository=repository),  # type: ignore[arg-type]
    )


def plan(waiting: list[Known], working: list[Known] = [], limit: int = 4, **others: TaskSummary) -> Schedule:  # noqa: B006
    return schedule(waiting, working, others, limit)


def ended(state: str, **fields: object) -> TaskSummary:
    return TaskSummary(task_id="x", state=state, base_tree="b", result_tree=fields.get("result", "b"))  # type: ignore[arg-type]


def test_the_oldest_begin_first_and_no_more_than_may_run_at_once():
    found = plan([known("ccc"), known("a"), known("bb")], [known("busy", "running", alive=True)], limit=3)
    assert found.start == ("a", "bb") and "3 tasks are at work" in found.reasons["ccc"]


@pytest.mark.parametrize(("state", "alive", "counts"), [
    ("running", True, True), ("planning", True, True), ("verifying", True, True), ("queued", True, True),
    ("awaiting approval", True, False), ("awaiting review", True, False), ("running", False, False), ("idle", True, False),
])  # fmt: skip
def test_only_live_work_takes_a_place_and_a_question_holds_up_nobody(state: str, alive: bool, counts: bool):
    found = plan([known("a")], [known("other", state, alive=alive)], limit=1)
    assert found.start == (() if counts else ("a",))


@pytest.mark.parametrize(("state", "begins"), [
    ("merged", True), ("awaiting review", True), ("delivered", True), ("idle", True),
    ("running", False), ("queued", False), ("failed", False),
    ("rejected", False), ("awaiting plan approval", False),
])  # fmt: skip
def test_a_task_begins_after_those_it_depends_on_have_come_to_a_good_end(state: str, begins: bool):
    found = plan([known("a", after=("x",))], x=ended(state))
    assert (found.start == ("a",)) is begins
    assert begins or ("x" in found.reasons["a"] and state in found.reasons["a"])


@pytest.mark.parametrize("outcome", ["interrupted", "limit", "failed"])
def test_a_task_does_not_begin_from_what_another_left_half_done(outcome: str):
    half = structs.replace(ended("awaiting review", result="1"), outcome=outcome)
    found = plan([known("a", after=("x",))], x=half)
    assert not found.start and "before it was done" in found.reasons["a"]
    assert plan([known("a", after=("x",))], x=structs.replace(half, outcome="done")).start == ("a",)


def test_a_dependency_that_is_gone_or_that_cannot_be_combined_is_said():
    assert "does not exist" in plan([known("a", after=("x",))]).reasons["a"]
    two = {"x": ended("awaiting review", result="1"), "y": ended("awaiting review", result="2")}
    assert "merge one of them" in plan([known("a", after=("x", "y"))], **two).reasons["a"]
    two["x"] = ended("merged", result="1")
    assert plan([known("a", after=("x", "y"))], **two).start == ("a",)


def test_what_waits_for_another_task_does_not_hold_up_those_behind_it():
    assert plan([known("a", after=("x",)), known("bb")], x=ended("running")).start == ("bb",)


def test_tasks_that_declare_overlapping_files_do_not_run_together_unless_asked():
    working = [known("busy", "running", alive=True, touches=("src/api/**",))]
    found = plan([known("a", touches=("src/*/routes.py",)), known("bb", touches=("docs",)), known("ccc")], working)
    assert found.start == ("bb", "ccc") and "busy" in found.reasons["a"] and "src/api/**" in found.reasons["a"]
    assert plan([known("a", touches=("src",), together=True)], working).start == ("a",)
    assert plan([known("a", touches=("src",), repository="/other")], working).start == ("a",)
    assert plan([known("a", touches=("src",)), known("bb", touches=("src/x.py",))]).start == ("a",), "also those of one start"


@pytest.mark.parametrize(("one", "other", "overlap"), [
    ("src/a.py", "src/a.py", True), ("src/a.py", "src/b.py", False), ("src", "src/a.py", True), ("src/", "src/x/y.py", True),
    ("*.py", "docs/*.md", False), ("*.py", "a.py", True), ("*.py", "src/a.py", False), ("**/*.py", "src/a.py", True),
    ("src/**/test_*.py", "src/x/test_a?.py", True), ("src/**/test_*.py", "src/x/a.md", False), ("**", "anything", True),
    ("./src/a.py", "src/a.py", True), ("a*c", "ab*", True), ("a*c", "b*", False), ("a?", "ab", True), ("a?", "abc", False),
    ("app/[id]/**", "app/[id]/a.tsx", True), ("app/[id]/*.tsx", "app/d/a.tsx", True), ("app/[id]/a.tsx", "app/xy/a.tsx", False),
    ("src/{a,b}.py", "src/b.py", True), ("src/{a,b}.py", "src/c.py", False), ("{src,lib/x}/a.py", "lib/x/a.py", True),
    ("{a,b}/[c]/x.py", "{a,b}/[c]/x.py", True), ("a[", "a[", True),
])  # fmt: skip
def test_patterns_overlap_where_one_path_could_match_both(one: str, other: str, overlap: bool):
    assert (may_overlap([one], [other]) is not None) is overlap
    assert (may_overlap([other], [one]) is not None) is overlap


def test_hostile_patterns_are_answered_too():
    assert may_overlap(["*a" * 100], ["*b" * 100 + "c"]) is None
    assert may_overlap(["{a,b}" * 100 + ".c"], ["[ab]" * 100 + ".d"]) is None
    assert may_overlap(["*a/" * 300], ["**/*b.c"]) is not None


@pytest.mark.parametrize(("text", "tasks"), [
    ("one\ntwo\n", ["one", "two"]),
    ("# not this\none\n", ["one"]),
    ("one\ntwo\n\n\nthree\n", ["one", "two", "three"]),
    ("one\n\nmore of it\n---\ntwo\n---\n\n--- \nthree\n---\n", ["one\n\nmore of it", "two", "three"]),
    ("\n\n", []),
    ("---\n", []),
])  # fmt: skip
def test_a_file_of_tasks_holds_one_a_line_or_one_between_dashes(text: str, tasks: list[str]):
    assert tasks_of_text(text) == tasks
