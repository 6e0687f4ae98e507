"""The permission rules with everything bound but the call and the mode."""

import asyncio
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from goose_py.bootstrap.confinement import Confinement, probe_here
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.repository import open_repository
from goose_py.bootstrap.settings import load_settings
from goose_py.config.settings import Settings
from goose_py.git.errors import GitError
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.permissions.decide import decide
from goose_py.permissions.decision import SEVERITY, Decision, Part, Place
from goose_py.permissions.grants import GrantStore, rules_of
from goose_py.permissions.rules import Rule, parse_rule
from goose_py.permissions.tool_calls import named_paths
from goose_py.protocol.commands import ResolveApproval
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.modes import Mode
from goose_py.protocol.tools import ToolSpec
from goose_py.sandbox.detection import FoundSandbox
from goose_py.sandbox.policy import Policy
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
        if relative == ".":
            return False
        return relative not in self._base and not any(name.startswith(f"{relative}/") for name in self._base)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


EDITORS = frozenset({"write", "edit", "apply_patch"})
"""Tools of ours that change just the files that their arguments name."""


class Judge:
    """`judge`, `keep` and `changes` are what a session is handed. Grants are keyed by the repository's common git folder, so
    that they hold in each of its worktrees; they are read anew for each call, since another task may have granted or
    revoked."""

    def __init__(self, place: Place, rules: Sequence[Rule], grants: GrantStore, repository: str, task_id: str) -> None:
        self._place = place
        self._rules = tuple(rules)
        self._grants = grants
        self._repository = repository
        self._task_id = task_id

    @classmethod
    def create(
        cls,
        host: Host,
        settings: Settings,
        confinement: Confinement,
        worktree: TaskWorktree,
        base_files: Iterable[str],
        checks: Iterable[str],
        start: str,
    ) -> "Judge":
        """Raises UserError where a rule of the settings is wrong, with file and line."""
        rules = [*rules_of_settings(host, settings), *rules_of_checks(checks)]
        return cls(
            place_of(host, settings, confinement, base_files, start),
            rules,
            grant_store(host),
            str(worktree.repository.common_dir),
            worktree.task_id,
        )

    def judge(self, call: ToolCall, spec: ToolSpec, mode: Mode, writes: bool, recorded: bool) -> Decision:
        rules = (*self._rules, *rules_of(self._grants.standing(), self._repository, self._task_id, self._place.workspace))
        return decide(call, spec, rules, mode, self._place, writes=writes, recorded=recorded)

    def changes(self, call: ToolCall, spec: ToolSpec) -> bool:
        """Whether a call waits for a plan. Commands do not: a test has to be run before anybody can plan, and what they may do
        is the mode's and the sandbox's affair."""
        return not spec.read_only and "command" not in call.arguments

    def touched(self, call: ToolCall, spec: ToolSpec) -> Sequence[str] | None:
        """The only paths that a call of our own editors can have changed, as the model names them. None where it is none."""
        if not (spec.trusted and spec.name in EDITORS):
            return None
        return list(named_paths(call.arguments)) or None

    def keep(self, answer: ResolveApproval, judgement: Judgement, call: ToolCall) -> None:
        """Keeps what the answer allowed for longer than once: the lines of its pattern, as edited, or what was offered."""
        if answer.scope == "once":
            return
        edited = tuple(line.strip() for line in (answer.pattern or "").split("\n") if line.strip())
        patterns = edited or tuple(judgement.patterns)
        self._grants.grant(patterns, answer.scope, tool=call.name, repository=self._repository, task=self._task_id)


def rules_of_settings(host: Host, settings: Settings) -> Iterator[Rule]:
    """Raises UserError with file and line."""
    for entry in settings.rules:
        yield from parse_rule(entry.fields, source=f"{entry.file}:{entry.line}", home=str(host.home))


def rules_of_checks(checks: Iterable[str]) -> Iterator[Rule]:
    """The commands that we run ourselves anyway may be run by the model, word for word."""
    for command in checks:
        try:
            yield from parse_rule({"verdict": "allow", "pattern": command, "reason": "It is a check of this task."})
        except UserError:
            continue  # a command that no pattern can stand for is asked about like any other


def grant_store(host: Host) -> GrantStore:
    return GrantStore(host.paths.state / "grants.jsonl", host.now, host.new_id)


def place_of(host: Host, settings: Settings, confinement: Confinement, base_files: Iterable[str], start: str) -> Place:
    """Paths in it are those that commands see and the model speaks of."""
    level = confinement.found.sandbox.level.value
    path = confinement.env.get("PATH", "")
    policy = confinement.policy
    shown = tuple(str(folder) for folder in policy.readable)
    return Place(
        workspace=str(policy.seen_at),
        home=str(host.home),
        sandbox=level,
        weakest=settings.sandbox.level,
        folder=start,
        # Where nothing is mounted a command that says another name means what stands there.
        names=tuple(map(str, policy.names)) if policy.place is None else (),
        realpath=os.path.realpath if policy.place is None else lambda path: _real_inside(policy, path),
        which=lambda name: shutil.which(name, path=path),
        exists=os.path.lexists if policy.place is None else lambda path: os.path.lexists(policy.outside(path)),
        readable=(*Place.__dataclass_fields__["readable"].default, *shown),
        writable=("/tmp",) if level == "full" else (),
        shared=tuple(str(share.path) for share in policy.shares if share.path.is_absolute()),
        created=Created(policy.seen_at, base_files),
    )


def _real_inside(policy: Policy, path: str) -> str:
    """Free of the symlinks that somebody inside meets. One that names the place leads to the workspace."""
    real = policy.outside(os.path.realpath(policy.outside(path)))
    return str(policy.inside(os.path.realpath(real)))


def explain_command(command: str, mode: str) -> int:
    """Prints the verdict on a shell command in the current folder, once a task there has a record of its state, and that of
    each of its parts. Raises UserError where there is no command."""
    if not command.strip():
        raise UserError("Say which command: it is empty.")
    from goose_py.protocol.safe_text import safe_text
    from goose_py.protocol.tools import ToolAnnotations

    host = Host.here()
    settings = load_settings(host, flags={"mode": mode}).settings
    rules = [*rules_of_settings(host, settings), *rules_of_checks(settings.checks)]
    found, repository = asyncio.run(_here(host))
    path = host.env.get("PATH", "")
    place = Place(
        workspace=os.path.realpath(host.cwd),
        home=str(host.home),
        sandbox=found.level.value,
        weakest=settings.sandbox.level,
        realpath=os.path.realpath,
        which=lambda name: shutil.which(name, path=path),
        exists=os.path.lexists,
    )
    call = ToolCall(id="test", name="shell", arguments={"command": command})
    spec = ToolSpec(name="shell", description="", input_schema={}, annotations=ToolAnnotations(), trusted=True)
    granted = rules_of(grant_store(host).standing(), repository, "", place.workspace)
    decision = decide(call, spec, (*rules, *granted), settings.mode, place, recorded=True)
    print(f"{decision.verdict}: {safe_text(decision.reason)}")
    for line in _part_lines(decision.parts, call.name):
        print(safe_text(line))
    for pattern in decision.patterns:
        print(safe_text(f"  could be granted as: {pattern}"))
    for pattern in decision.wider:
        print(safe_text(f"  or, for more than this, as: {pattern}"))
    return 0


def _part_lines(parts: Sequence[Part], tool: str) -> list[str]:
    """One for each part of the command, with its strictest verdict first and every reason once. That the tool itself may be
    used is nothing that was asked."""
    of_text: dict[str, list[Part]] = {}
    for part in parts:
        if part.text != tool or part.verdict != "allow":
            of_text.setdefault(part.text, []).append(part)
    lines = []
    for text, several in of_text.items():
        several.sort(key=lambda part: SEVERITY[part.verdict], reverse=True)
        reasons = " ".join(dict.fromkeys(part.reason for part in several))
        lines.append(f"  {several[0].verdict:<5} {text}  ({reasons})")
    return lines


async def _here(host: Host) -> tuple[FoundSandbox, str]:
    """The sandbox, and what the grants of this folder's repository are keyed by."""
    found = await probe_here(host)
    try:
        return found, str((await open_repository(host, host.cwd)).common_dir)
    except GitError:
        return found, ""
