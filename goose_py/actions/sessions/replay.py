"""`goose-py session replay`: a recorded session run again in a fresh worktree, with the recorded replies for a model."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.models import Models
from goose_py.bootstrap.open_task import OpenTask, open_task
from goose_py.bootstrap.settings import load_settings, secret_store
from goose_py.git.errors import GitError
from goose_py.git.worktrees.task_file import BaseRecord, TaskFile
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.events import Phase
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.safe_text import safe_line
from goose_py.providers.model_port import OpenModel
from goose_py.providers.profile import Profile
from goose_py.session.bus import Bus, Subscription
from goose_py.session.log import LOG_NAME, read_log
from goose_py.session.ports import Answering, OnRetry
from goose_py.session.replay import Player, Recording, read_recording
from goose_py.session.replay_differences import Difference, differences
from goose_py.tasks.spec import SPEC_NAME, TaskSpec, read_spec, write_spec
from goose_py.tasks.store import TaskFolder

UNKNOWN_WINDOW = 200_000


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to. `differences` in the order of the recording; `notes` say what it left out."""

    task_id: str
    of: str
    turns: int
    replies: int
    calls: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


def replay_session(name: str, *, approve: bool, as_json: bool) -> int:
    """`name` is a session or the folder of one (from a bug report). Exit code 1 where something differs."""
    host = Host.here()
    source = _source(host, name)
    if approve and source.parent != host.tasks.root:
        raise UserError("--approve is for sessions of your own: what somebody else allowed is not allowed here.")
    result = asyncio.run(replay(host, source, approve=approve))
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(result), indent=2) + "\n")
    else:
        _print(result)
    return 1 if result.differences else 0


def _source(host: Host, name: str) -> Path:
    path = Path(name).expanduser()
    path = path if path.is_absolute() else host.cwd / path
    if (path / LOG_NAME).is_file():
        return path
    return host.task(name).path


async def replay(host: Host, source: Path, *, approve: bool) -> Replayed:
    """`approve`: what a person had allowed by hand is allowed again; otherwise it is refused, because a recording may be
    somebody else's. Raises GooseError where it cannot begin."""
    recorded = read_log(source).records
    recording = read_recording(recorded)
    if recording is None or recording.started.base is None or recording.started.repository is None:
        raise UserError(f"The session in {source} never got as far as a worktree: there is nothing to replay.")
    folder = host.tasks.new(host.now)
    try:
        write_spec(folder.path, _spec(host, source, recording, folder))
        player = await _Replay(host, folder, recording, approve).run()
    except GooseError:
        if folder.path.exists() and not (folder.path / LOG_NAME).exists():
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    records = read_log(folder.path).records
    return Replayed(
        task_id=folder.task_id,
        of=recording.started.session_id,
        turns=sum(isinstance(record.event, ev.TurnStarted) for record in records),
        replies=player.asked,
        calls=sum(isinstance(record.event, ev.ToolStarted) for record in records),
        differences=differences(recorded, records),
        notes=(*recording.left_out, *player.notes),
    )


def _start(host: Host, source: Path, started: ev.SessionStarted) -> BaseRecord | None:
    """What the recorded task began with, as long as it stands on it."""
    try:
        base = TaskFile.read(host.tasks.folder(source.name).store).base
    except GitError:
        return None
    return base if (base.commit, base.tree) == (started.base, started.base_tree) else None


def _spec(host: Host, source: Path, recording: Recording, folder: TaskFolder) -> TaskSpec:
    """The task as it was asked to be, from the recorded base. The checkout may have moved: the one we stand in will do. Of
    somebody else's task nothing is believed but what was said: no settings, no extensions, and commands run in a full sandbox
    or not at all."""
    started = recording.started
    own = source.parent == host.tasks.root and (source / SPEC_NAME).is_file()
    spec = read_spec(source) if own else TaskSpec(task_id="", folder="", overrides={"sandbox.level": "full"})
    repository = Path(started.repository or "")
    amounts = msgspec.structs.asdict(started.limits)
    limits = {f"limits.{name}": "none" if value is None else value for name, value in amounts.items()}
    return msgspec.structs.replace(
        spec,
        task_id=folder.task_id,
        folder=str(repository if repository.is_dir() else host.cwd),
        title=f"Replay of {started.title or started.session_id}",
        prompt=(),
        base=started.base or "head",
        start=_start(host, source, started) if own else None,
        isolation="worktree",
        interactive=started.interactive,
        checks=started.checks,
        overrides={
            **{key: value for key, value in spec.overrides.items() if not key.startswith("providers.")},
            **limits,
            # How long it takes is not what is repeated.
            "limits.max_seconds": "none",
            "mode": started.mode,
            "provider": started.model.provider,
            "model": started.model.model,
        },
    )


class _Replay:
    """Implements `Answers` with the player, and does what the user did."""

    def __init__(self, host: Host, folder: TaskFolder, recording: Recording, approve: bool) -> None:
        self._host = host
        self._folder = folder
        self._recording = recording
        self._approve = approve
        self._task: OpenTask | None = None
        self._profiles = Models(host, load_settings(host).settings, secret_store(host))
        self._subscription: Subscription | None = None
        self._interrupting: set[asyncio.Task[None]] = set()
        self._player = Player(recording, self._turn, self._perform, self._interrupt)
        self.values: dict[str, str] = {}
        self.warnings: list[str] = []

    async def run(self) -> Player:
        async with open_task(self._host, self._folder, watch=self._watch, answers=self) as task:
            self._task = task
            answering = asyncio.ensure_future(self._answer_questions())
            try:
                for command in self._recording.acts:
                    await self._perform(command)
                    await task.session.idle()
            finally:
                answering.cancel()
                await asyncio.wait({answering})
        return self._player

    # Answers

    async def open(self, ref: ModelRef) -> OpenModel:
        try:
            profile = await self._profiles.profile(ref)
        except UserError:  # a provider that is not known here: nobody is asked anyway
            profile = Profile(provider=ref.provider, model=ref.model, protocol="scripted", context_window=UNKNOWN_WINDOW)
        return _Opened(profile, self._player)

    async def answering(self, ref: ModelRef, phase: Phase, on_retry: OnRetry) -> Answering:
        model = await self.open(ref)
        if phase == "summarise":
            return Answering(ref=ref, model=_Summariser(self._player), cost=self._player.cost)
        return Answering(
            ref=ref,
            model=model,
            images=model.profile.images,
            context_window=model.profile.context_window,
            max_output_tokens=model.profile.max_output_tokens,
            cost=self._player.cost,
        )

    async def close(self) -> None:
        await self._profiles.close()

    # The user

    def _watch(self, bus: Bus) -> None:
        self._subscription = bus.subscribe()

    def _turn(self) -> int:
        return self._task.session.state.turns if self._task is not None else 0

    async def _perform(self, command: cmd.AnyCommand) -> None:
        assert self._task is not None, "commands come when the task is open"
        try:
            await self._task.perform(command)
        except GooseError as error:
            self._player.notes.append(f"{type(command).__name__} could not be repeated: {error}")

    def _interrupt(self) -> None:
        assert self._task is not None, "turns run when the task is open"
        task = asyncio.ensure_future(self._task.session.interrupt())
        self._interrupting.add(task)
        task.add_done_callback(self._interrupting.discard)

    async def _answer_questions(self) -> None:
        """As the user did. Nothing that is allowed here outlives the replay's own task."""
        assert self._subscription is not None, "the bus is watched before the task is open"
        async for item in self._subscription:
            if not (isinstance(item, ev.Record) and isinstance(item.event, ev.ApprovalRequested)):
                continue
            asked = item.event
            answer = self._recording.answers.get(asked.call.id)
            allowed = answer is not None and answer.allowed
            if allowed and not self._approve:
                note = f"{asked.call.name} was allowed by hand then, and is refused now: --approve repeats it."
                self._player.notes.append(note)
            scope = "task" if answer is not None and answer.scope != "once" else "once"
            await self._perform(
                cmd.ResolveApproval(
                    approval_id=asked.approval_id,
                    allow=allowed and self._approve,
                    scope=scope if allowed and self._approve else "once",
                    note=answer.note if answer is not None and not allowed else "",
                )
            )


class _Opened:
    """`OpenModel` as far as a task needs it."""

    def __init__(self, profile: Profile, player: Player) -> None:
        self.profile = profile
        self.stream = player.stream

    def prepare(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Summariser:
    def __init__(self, player: Player) -> None:
        self.stream = player.summarise


def _print(result: Replayed) -> None:
    print(f"{result.of} was run again as task {result.task_id}: {result.turns} turns, {result.replies} recorded replies, "
          f"{result.calls} calls.")  # fmt: skip
    for note in dict.fromkeys(result.notes):
        print(safe_line(f"· {note}"))
    for difference in result.differences:
        print(safe_line(f"≠ {difference.where}"))
        print(safe_line(f"    was: {difference.was}"))
        print(safe_line(f"    now: {difference.now}"))
    if not result.differences:
        print("= Every result, check and file is as it was recorded.")

