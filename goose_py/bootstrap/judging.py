"""The permission rules with everything bound but the call and the mode."""

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from goose_py.bootstrap.confinement import Confinement
from goose_py.bootstrap.host import Host
from goose_py.config.settings import Settings
from goose_py.git.worktree import TaskWorktree
from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Decision, Place
from goose_py.permissions.rules import Rule, parse_rule
from goose_py.protocol.commands import ResolveApproval
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.modes import Mode
from goose_py.protocol.tools import ToolSpec
from goose_py.session.approvals import Judgement


class Created(Collection[str]):
    """The resolved paths that the agent itself made: what lies in the workspace and not in its base."""

    def __init__(self, workspace: Path, base_files: Iterable[str]) -> None:
        self._workspace = workspace
        self._base = frozenset(base_files)

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        try:
            relative = Path(path).relative_to(self._workspace).as_posix()
        except ValueError:
            return False
        return relative not in self._base and not any(name.startswith(f"{relative}/") for name in self._base)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Judge:
    """`judge`, `keep` and `changes` are what a session is handed. Grants of a task live as long as it; wider ones are kept in
    the grants file."""

    def __init__(self, place: Place, rules: Sequence[Rule]) -> None:
        self._place = place
        self._rules = list(rules)

    @classmethod
    def create(
        cls, host: Host, settings: Settings, confinement: Confinement, worktree: TaskWorktree, base_files: Iterable[str]
    ) -> "Judge":
        """Raises UserError where a rule of the settings is wrong, with file and line."""
        rules = [
            rule
            for entry in settings.rules
            for rule in parse_rule(entry.fields, source=f"{entry.file}:{entry.line}", home=str(host.home))
        ]
        return cls(place_of(host, settings, confinement, worktree, base_files), rules)

    def judge(self, call: ToolCall, spec: ToolSpec, mode: Mode) -> Decision:
        return decide(call, spec, self._rules, mode, self._place)

    def changes(self, call: ToolCall, spec: ToolSpec) -> bool:
        """Whether a call would change anything: what plan mode would not let through."""
        return decide(call, spec, (), "plan", self._place).verdict != "allow"

    def keep(self, answer: ResolveApproval, judgement: Judgement, call: ToolCall) -> None:
        patterns = (answer.pattern,) if answer.pattern else tuple(judgement.patterns)
        for pattern in patterns:
            self._rules += parse_rule({"verdict": "allow", "pattern": pattern}, source="a grant")


def place_of(
    host: Host, settings: Settings, confinement: Confinement, worktree: TaskWorktree, base_files: Iterable[str]
) -> Place:
    level = confinement.chosen.sandbox.level.value
    path = confinement.env.get("PATH", "")
    shown = tuple(str(folder) for folder in confinement.policy.readable)
    return Place(
        workspace=str(worktree.path),
        home=str(host.home),
        sandbox=level,
        weakest=settings.sandbox.level,
        realpath=os.path.realpath,
        which=lambda name: shutil.which(name, path=path),
        exists=os.path.lexists,
        readable=(*Place.__dataclass_fields__["readable"].default, *shown),
        writable=("/tmp",) if level == "full" else (),
        created=Created(worktree.path, base_files),
    )
