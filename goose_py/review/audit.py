"""The audit trail of a change: every decision, by whom, when, on which content. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from goose_py.protocol.amounts import counted
from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.events import ChangesApplied
from goose_py.review.evidence import Evidence
from goose_py.review.verdicts import Decision, fold

FORMAT = "goose-py audit 1"


def audit_json(
    changeset: ChangeSet,
    decisions: Sequence[Decision],
    evidence: Sequence[Evidence] = (),
    applied: Sequence[ChangesApplied] = (),
) -> dict[str, Any]:
    """Plain values for JSON. `counts` says whether a decision is still in force for this changeset's content. Needs the
    hunks of every file that was decided in parts."""
    outdated = {id(decision) for decision in fold(changeset, decisions).outdated}
    return {
        "format": FORMAT,
        "base_tree": changeset.base_tree,
        "result_tree": changeset.result_tree,
        "files": [
            {
                "path": file.path,
                "old_path": file.old_path,
                "status": file.status,
                "added": file.added,
                "removed": file.removed,
                "flags": list(file.flags),
            }
            for file in changeset.files
        ],
        "decisions": [
            {
                "at": _time(decision.at),
                "by": decision.event.by,
                "verdict": decision.event.verdict,
                "path": decision.event.path,
                "hunk": decision.event.hunk,
                "lines": list(decision.event.lines),
                "content": decision.event.content,
                "comment": decision.event.comment,
                "edit": decision.event.edit,
                "record": decision.seq,
                "withdraws": decision.event.withdraws or None,
                "counts": id(decision) not in outdated,
            }
            for decision in decisions
        ],
        "checks": [
            {
                "command": each.command,
                "standing": each.standing,
                "exit_code": each.exit_code,
                "tree": each.tree,
                "found": each.found,
                "reason": each.reason,
            }
            for each in evidence
        ],
        "applied": [
            {"tree": each.tree, "how": each.how, "target": each.target, "commit": each.commit, "files": list(each.files)}
            for each in applied
        ],
    }


def audit_markdown(
    changeset: ChangeSet,
    decisions: Sequence[Decision],
    evidence: Sequence[Evidence] = (),
    applied: Sequence[ChangesApplied] = (),
) -> str:
    """The same for people. Text of others is put in code spans, so that it cannot pass for structure."""
    data = audit_json(changeset, decisions, evidence, applied)
    lines = [
        "# Review",
        "",
        f"From tree `{data['base_tree']}` to `{data['result_tree']}`.",
        "",
        "## Files",
        "",
        *(_file_line(file) for file in data["files"]),
        "",
        "## Checks",
        "",
        *([f"- {_code(each.sentence())}" for each in evidence] or ["- none"]),
        "",
        "## Decisions",
        "",
        *([_decision_line(each) for each in data["decisions"]] or ["- none"]),
        "",
        "## Applied",
        "",
        *([_applied_line(each) for each in data["applied"]] or ["- not applied"]),
    ]
    return "\n".join(lines) + "\n"


def _file_line(file: dict[str, Any]) -> str:
    was = f" (was {_code(file['old_path'])})" if file["old_path"] else ""
    counts = "" if file["added"] is None else f", +{file['added']} -{file['removed']}"
    flags = f", {', '.join(file['flags'])}" if file["flags"] else ""
    return f"- {_code(file['path'])}{was}: {file['status']}{counts}{flags}"


def _decision_line(decision: dict[str, Any]) -> str:
    part = f" hunk `{decision['hunk']}`" if decision["hunk"] else ""
    lines = f" lines {', '.join(str(number + 1) for number in decision['lines'])}" if decision["lines"] else ""
    comment = f": {_code(decision['comment'])}" if decision["comment"] else ""
    edited = ", edited" if decision["edit"] is not None else ""
    if decision["withdraws"]:
        comment = f" takes back the comment of record {decision['withdraws']}" + (f" and says{comment}" if comment else "")
    counts = "" if decision["counts"] else " (content has changed since: no longer counts)"
    who = f"{decision['record']}. {decision['at']} {_code(decision['by'])}"
    return f"- {who} {decision['verdict']}{edited} {_code(decision['path'])}{part}{lines}{comment}{counts}"


def _applied_line(applied: dict[str, Any]) -> str:
    commit = f" as commit `{applied['commit']}`" if applied["commit"] else ""
    files = counted(len(applied["files"]), "file")
    return f"- tree `{applied['tree']}` {applied['how']} to {_code(applied['target'])}{commit}, {files}"


def _code(text: str) -> str:
    flat = " ".join(text.split())
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in flat).split()), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {flat} {fence}" if longest else f"{fence}{flat}{fence}"


def _time(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, tz=datetime.UTC).isoformat(timespec="seconds")
