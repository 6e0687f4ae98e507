"""Grants: what a person answered with "do not ask again", how far it reaches, and for how long.

A grant is a pattern that the person saw, and may have edited, with a scope. `task` grants end with their task; `project`
grants hold in every worktree of the same repository, because they are keyed by the repository and not by a path; `always`
holds everywhere. `once` is no grant: nothing is kept. They are rules that allow, and nothing more: a rule that denies or
asks, and the gate before destructive work, stay above them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from goose_py.permissions.patterns import Pattern, parse_pattern
from goose_py.permissions.record_file import RecordFile
from goose_py.permissions.rules import Rule
from goose_py.protocol.errors import UserError

Scope = Literal["task", "project", "always"]
_SCOPES: Final = ("task", "project", "always")


@dataclass(frozen=True, slots=True)
class Grant:
    """`pattern` as `patterns` spells it; `tool` the tool it was given for ("*": any). `repository` is the identity it is
    bound to at scope project, `task` the task's id at scope task, "" else. `granted_at` is Unix time."""

    id: str
    pattern: str
    scope: Scope
    tool: str = "*"
    repository: str = ""
    task: str = ""
    granted_at: float = 0.0

    def holds(self, repository: str, task: str) -> bool:
        if self.scope == "task":
            return self.task == task
        return self.scope == "always" or self.repository == repository

    def describe(self) -> str:
        """One line for people: what, how far, how long."""
        reach = {
            "task": f"in task {self.task}, until it ends",
            "project": f"in every worktree of {self.repository}, until revoked",
            "always": "in every project, until revoked",
        }[self.scope]
        return f"{self.pattern}  ({reach})"


def rules_of(grants: Iterable[Grant], repository: str, task: str, workspace: str) -> tuple[Rule, ...]:
    """The grants that hold here, as rules for `decide`. Paths of the repository are those of `workspace`, its worktree."""
    return tuple(
        Rule(
            "allow",
            _placed(parse_pattern(grant.pattern), workspace),
            tool=grant.tool,
            source=f"grant {grant.id}",
            reason="You allowed it before.",
        )
        for grant in grants
        if grant.holds(repository, task)
    )


def _placed(pattern: Pattern, workspace: str) -> Pattern:
    if pattern.kind in ("read", "write") and pattern.text.startswith("./"):
        return Pattern(pattern.kind, workspace + pattern.text[1:])
    return pattern


def fold(records: Iterable[Mapping[str, Any]]) -> tuple[Grant, ...]:
    """The grants that stand after all records, oldest first. A record that is not understood counts for nothing: it can
    only mean that a person is asked once more."""
    standing: dict[str, Grant] = {}
    for record in records:
        if record.get("record") == "revoked":
            standing.pop(str(record.get("id")), None)
        elif record.get("record") == "granted" and (grant := _grant(record)) is not None:
            standing[grant.id] = grant
    return tuple(standing.values())


def _grant(record: Mapping[str, Any]) -> Grant | None:
    fields = {name: record[name] for name in Grant.__slots__ if name in record}
    texts = all(isinstance(value, str) for name, value in fields.items() if name != "granted_at")
    if not texts or fields.get("scope") not in _SCOPES or not fields.get("id"):
        return None
    try:
        parse_pattern(fields.get("pattern", ""))
    except UserError:
        return None
    return Grant(**fields)


class GrantStore:
    """The grants of one user, in a file of records. `now` is Unix time, `new_id` a fresh short identifier."""

    def __init__(self, path: Path, now: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._file = RecordFile(path)
        self._now = now
        self._new_id = new_id

    def standing(self) -> tuple[Grant, ...]:
        """Oldest first. Read anew each time: another task may have granted or revoked meanwhile."""
        return fold(self._file.read())

    def grant(
        self, patterns: Sequence[str], scope: Scope, *, tool: str = "*", repository: str = "", task: str = ""
    ) -> tuple[Grant, ...]:
        """Keep the patterns, one grant each. All are checked before the first is kept. Raises UserError for a pattern that
        cannot be read, or a scope without what it is bound to."""
        if (scope == "project" and not repository) or (scope == "task" and not task):
            raise UserError(f"A grant for this {scope} needs to know which {scope} it is.")
        lines = [str(parse_pattern(pattern)) for pattern in patterns]
        return tuple(self._keep(line, scope, tool, repository, task) for line in lines)

    def _keep(self, line: str, scope: Scope, tool: str, repository: str, task: str) -> Grant:
        grant = Grant(
            id=self._new_id(),
            pattern=line,
            scope=scope,
            tool=tool,
            repository=repository if scope == "project" else "",
            task=task if scope == "task" else "",
            granted_at=self._now(),
        )
        self._file.add({"record": "granted", **asdict(grant)})
        return grant

    def revoke(self, wanted: str) -> tuple[Grant, ...]:
        """Take back the grant of this id, or all with exactly this pattern. Raises UserError where there is none."""
        found = tuple(grant for grant in self.standing() if wanted in (grant.id, grant.pattern))
        if not found:
            raise UserError(f"There is no grant {wanted!r}. “goose-py permissions list” shows those there are.")
        for grant in found:
            self._file.add({"record": "revoked", "id": grant.id, "revoked_at": self._now()})
        return found
