"""What a check proves about a tree, and the audit trail."""

from __future__ import annotations

import json

import pytest
from changesets import ONE, change, changeset

from goose_py.protocol.events import ChangesApplied, VerificationFinished
from goose_py.review.audit import audit_json, audit_markdown
from goose_py.review.evidence import evidence, overall
from goose_py.review.verdicts import Decision, decide_file, decide_hunk


def run(exit_code: int | None, tree: str | None, command: str = "pytest -q") -> VerificationFinished:
    return VerificationFinished(command=command, exit_code=exit_code, tree=tree)


@pytest.mark.parametrize(
    ("runs", "standing", "exit_code", "tree"),
    [
        ([], "not run", None, None),
        ([run(0, "now")], "passed", 0, "now"),
        ([run(1, "now")], "failed", 1, "now"),
        ([run(None, "now")], "failed", None, "now"),
        ([run(0, "before")], "stale", 0, "before"),
        ([run(1, "before")], "stale", 1, "before"),
        ([run(0, None)], "stale", 0, None),
        ([run(1, "now"), run(0, "now")], "passed", 0, "now"),
        ([run(0, "now"), run(1, "later"), run(1, "before")], "passed", 0, "now"),
    ],
)
def test_evidence_belongs_to_the_tree_that_the_check_ran_on(runs, standing, exit_code, tree):
    (found,) = evidence(["pytest -q"], runs, "now")
    assert (found.standing, found.exit_code, found.tree) == (standing, exit_code, tree)
    sentence = found.sentence()
    assert sentence.startswith(f"{standing}: pytest -q")
    assert (tree is None or tree in sentence) and (exit_code is None or f"exit code {exit_code}" in sentence)


def test_each_command_is_judged_by_itself_and_the_worst_speaks_for_all():
    found = evidence(["a", "b"], [run(0, "now", "a"), run(2, "now", "c")], "now")
    assert [(each.command, each.standing) for each in found] == [("a", "passed"), ("b", "not run"), ("c", "failed")]
    assert overall(found) == "failed"
    assert overall(found[:2]) == "not run"
    assert overall(found[:1]) == "passed"
    assert overall(()) == "not run"


def audit():
    file = change("src/`f`.py", flags=("executable",))
    gone = Decision(decide_hunk(change("gone.py"), ONE, "keep", by="bob"), 1_700_000_000.0)
    decisions = [Decision(event, 1_700_000_060.0) for event in decide_file(file, "keep", comment="fine\n# not a title")]
    applied = ChangesApplied(
        base_tree="base", result_tree="result", tree="chosen", how="worktree", target="/repo", files=("f",)
    )
    return changeset(file), [gone, *decisions], evidence(["pytest -q"], [run(0, "result")], "result"), [applied]


def test_the_audit_trail_says_who_decided_what_when_and_whether_it_counts():
    data = json.loads(json.dumps(audit_json(*audit())))
    first, second = data["decisions"][:2]
    assert (first["by"], first["at"], first["path"], first["counts"]) == ("bob", "2023-11-14T22:13:20+00:00", "gone.py", False)
    assert (second["by"], second["verdict"], second["content"], second["counts"]) == (
        "user", "keep", "attributes-src/`f`.py", True
    )  # fmt: skip
    assert data["checks"] == [
        {"command": "pytest -q", "standing": "passed", "exit_code": 0, "tree": "result", "found": False, "reason": ""}
    ]
    assert data["applied"][0]["tree"] == "chosen"


def test_the_audit_trail_in_markdown_keeps_text_of_others_out_of_its_structure():
    text = audit_markdown(*audit())
    assert "\n# not a title" not in text
    assert "`` src/`f`.py ``" in text
    assert "2023-11-14T22:13:20+00:00 `bob` keep `gone.py` hunk `h1` (content has changed since: no longer counts)" in text
    assert "- `passed: pytest -q (exit code 0 on tree result)`" in text
    assert "- tree `chosen` worktree to `/repo`, 1 file" in text
