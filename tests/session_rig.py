"""A real session for tests: real log, real git worktree, real tools in process, real permission rules, real check commands.
Only the Model port, the clock and the ids are ours."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from git_repos import Place as Home

from goose_py import bundled
from goose_py.agent.compaction import estimate, estimate_text
from goose_py.agent.final_output import final_output_spec
from goose_py.agent.planner import UPDATE_PLAN_SPEC
from goose_py.agent.prompts import system_prompt
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Place
from goose_py.permissions.rules import Rule
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.codec import encode
from goose_py.protocol.deltas import TextDelta
from goose_py.protocol.messages import (
    AssistantMessage,
    Message,
    ModelRef,
    Text,
    ToolCall,
    ToolMessage,
    Usage,
    UserMessage,
)
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.session.bus import Bus
from goose_py.session.log import Log, LogContents, read_log
from goose_py.session.ports import Answering, SessionPorts, Workspace
from goose_py.session.session import Session
from goose_py.tasks.changes.workspace import workspace_of
from goose_py.tasks.checks import CheckRunner
from goose_py.toolbox import Builtin, ExtensionHost, Toolbox

NONE = ev.Limits()
REF = ModelRef(provider="test", model="tester")
ENV = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

_ids = itertools.count(1)


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def call(name: str, /, **arguments: Any) -> ToolCall:
    return ToolCall(id=f"call_{next(_ids)}", name=name, arguments=arguments)


def reply(*parts: Any, stop: str = "", usage: Usage | None = None, origin: ModelRef = REF) -> ModelReply:
    """A complete reply of strings, calls and other parts. Without `usage` the model counts as a provider would."""
    made = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    stop = stop or ("tool_calls" if any(isinstance(part, ToolCall) for part in made) else "end")
    message = AssistantMessage(parts=made, origin=origin, stop_reason=stop)  # type: ignore[arg-type]
    return ModelReply(message=message, usage=usage or Usage())


def plan(*steps: str, status: str = "in_progress", note: str = "") -> ToolCall:
    """A call of update_plan; the first step has `status`."""
    rows = [{"title": step, "status": status if n == 0 else "pending"} for n, step in enumerate(steps)]
    return call("update_plan", steps=rows, **({"note": note} if note else {}))


def done(*steps: str) -> ToolCall:
    return call("update_plan", steps=[{"title": step, "status": "completed"} for step in steps])


class Hang:
    """The model begins to answer and never ends; `begun` tells that it was asked."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()


Step = ModelReply | Exception | Hang | Callable[[ModelRequest], "ModelReply | Exception"]


class TestModel:
    """The Model port for tests: `steps` in order, then `after` for ever. Refuses a request that a strict provider would, and
    keeps all that it was sent."""

    __test__ = False

    def __init__(self, *steps: Step, after: Step | None = None) -> None:
        self._steps = list(steps)
        self._after = after
        self.requests: list[ModelRequest] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
        self.requests.append(request)
        complaint = strict_complaint(request.messages)
        assert not complaint, f"request {len(self.requests)}: {complaint}"
        step = self._steps.pop(0) if self._steps else self._after
        assert step is not None, f"no answer for request {len(self.requests)}: {request.messages[-1]}"
        if isinstance(step, Hang):
            yield TextDelta("I am thin")
            step.begun.set()
            await asyncio.Event().wait()
        answer = step(request) if callable(step) else step
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, ModelReply)
        yield TextDelta(answer.message.text())
        yield answer if answer.usage != Usage() else msgspec.structs.replace(answer, usage=_counted(request, answer))

    @property
    def last(self) -> ModelRequest:
        return self.requests[-1]

    @property
    def unused(self) -> int:
        return len(self._steps)


def _counted(request: ModelRequest, answer: ModelReply) -> Usage:
    prefix = estimate_text(len(request.system) + len(encode(request.tools)))
    return Usage(input_tokens=prefix + estimate(request.messages), output_tokens=estimate([answer.message]))


def strict_complaint(messages: Iterable[Message], *, whole: bool = True) -> str:
    """What the strictest provider would say against a history, "" if nothing: it begins with the user, roles alternate
    (results and what the user says after them count as one), every call has its result right behind it, in order and once,
    no result is without a call, nothing is empty, and, where it is `whole`, it ends with something to answer."""
    history = list(messages)
    if not history or not isinstance(history[0], UserMessage):
        return "it does not begin with a user message"
    for before, message in zip([None, *history], history, strict=False):
        calls = before.tool_calls() if isinstance(before, AssistantMessage) else ()
        if isinstance(message, ToolMessage):
            if [result.call_id for result in message.results] != [made.id for made in calls]:
                return f"results {message.results} do not answer {calls}"
            continue
        if calls:
            return f"the calls {calls} are not answered"
        if type(before) is type(message):
            return f"two messages of one role: {before} {message}"
        if not message.parts:
            return "a message is empty"
        if any(isinstance(part, Text) and not part.text.strip() for part in message.parts):
            return f"a text is empty: {message}"
    if isinstance(history[-1], AssistantMessage) and (whole or history[-1].tool_calls()):
        return "it ends with the assistant"
    return ""


def text_of(message: Message) -> str:
    if isinstance(message, ToolMessage):
        return "\n".join(result.text() for result in message.results)
    return "\n".join(part.text for part in message.parts if isinstance(part, Text))


def everything(request: ModelRequest) -> str:
    return "\n".join(text_of(message) for message in request.messages)


@dataclass
class Setup:
    """How a session of the rig differs from the usual one: unattended, in auto mode, without plan and checklist."""

    files: dict[str, str | bytes] = field(default_factory=lambda: {"README.md": "hello\n"})
    mode: str = "auto"
    attended: bool = False
    planning: bool = False
    plan_needs_approval: bool = False
    checklist: bool = False
    checks: tuple[str, ...] = ()
    limits: ev.Limits = NONE
    warn: ev.Limits = NONE
    rules: tuple[Rule, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    cost: Callable[[Usage], float | None] = lambda usage: None
    phases: dict[str, tuple[Any, ModelRef]] = field(default_factory=dict)
    around_tools: tuple[Any, ...] = ()
    environment: str = ""
    redact: Callable[[str], str] | None = None
    response_schema: dict[str, Any] | None = None
    tools: bool = True


class Rig:
    """`session` with everything about it."""

    def __init__(self, top: Path, home: Home, worktree: TaskWorktree, toolbox: Toolbox, setup: Setup, model: Any) -> None:
        self.top = top
        self.home = home
        self.worktree = worktree
        self.toolbox = toolbox
        self.setup = setup
        self.model = model
        self.clock = Clock()
        self.folder = top / "session"
        self.bus = Bus()
        self._log, contents = Log.create(self.folder, "s1", self.clock), None
        self.session = self._session(contents)
        self._begin()

    @property
    def root(self) -> Path:
        return self.worktree.path

    @property
    def records(self) -> tuple[ev.Record, ...]:
        return read_log(self.folder).records

    def events(self, kind: type[Any]) -> list[Any]:
        return [record.event for record in self.records if isinstance(record.event, kind)]

    @property
    def outcome(self) -> ev.TurnEnded:
        return self.events(ev.TurnEnded)[-1]

    def result(self, made: ToolCall) -> str:
        """The text that answered a call."""
        return next(event.result.text() for event in self.events(ev.ToolFinished) if event.result.call_id == made.id)

    async def prompt(self, text: str = "Do it.", **fields: Any) -> ev.TurnEnded:
        """Say something and wait until nothing runs any more."""
        await self.say(text, **fields)
        await self.idle()
        return self.outcome

    async def say(self, text: str, **fields: Any) -> str:
        prompt_id = f"p{next(_ids)}"
        await self.session.perform(cmd.Prompt(prompt_id=prompt_id, parts=(Text(text),), **fields))
        return prompt_id

    async def perform(self, command: cmd.AnyCommand) -> None:
        await self.session.perform(command)

    async def idle(self) -> None:
        async with asyncio.timeout(30):
            await self.session.idle()

    async def until(self, kind: type[Any], count: int = 1) -> Any:
        """Waits for the `count`-th event of a kind, counted from the beginning of the log; not beyond the end of the turn."""
        subscription = self.bus.subscribe()
        seen = len(self.events(kind))
        async with asyncio.timeout(30):
            async for item in subscription if seen < count else _nothing():
                if isinstance(item, ev.Record):
                    seen += isinstance(item.event, kind)
                    if seen >= count:
                        break
                    assert not isinstance(item.event, ev.TurnEnded), f"the turn ended without it: {item.event}"
        subscription.close()
        return self.events(kind)[count - 1]

    async def restart(self, *steps: Step, model: Any = None) -> LogContents:
        """What a kill at this moment and a resume come to: a new session on the log as it stands now."""
        dead, dead_log = self.session, self._log
        folder = self.folder.with_name(f"{self.folder.name}x")
        shutil.copytree(self.folder, folder)
        await dead.interrupt()
        dead_log.close()
        return await self.resume(folder, *steps, model=model)

    async def resume(self, folder: Path, *steps: Step, model: Any = None) -> LogContents:
        """A session on a log that nobody writes."""
        self.folder = folder
        self.bus = Bus()
        self.model = model or TestModel(*steps)
        self._log, contents = Log.open(folder, self.clock)
        self.session = self._session(contents)
        await self.session.recover()
        return contents

    async def answering(self, chosen: ModelRef, phase: ev.Phase, on_retry: Any) -> Answering:
        model, ref = self.setup.phases.get(phase, (self.model, chosen))
        return Answering(
            ref=ref,
            model=model,
            context_window=self.setup.context_window,
            max_output_tokens=self.setup.max_output_tokens,
            cost=self.setup.cost,
        )

    def _session(self, contents: LogContents | None) -> Session:
        setup = self.setup
        place = Place(workspace=str(self.root), home=str(self.home.top / "home"), sandbox="full")
        checks = CheckRunner(_spawn, self.root, ENV, self.top / "logs", "/bin/sh", 30.0, self.clock)
        ports = SessionPorts(
            tools=self.toolbox,
            workspace=Workspace(**workspace_of(self.worktree), verify=checks.run),
            answering=self.answering,
            judge=lambda made, spec, mode, writes, recorded: decide(
                made, spec, setup.rules, mode, place, writes=writes, recorded=recorded
            ),
            keep=lambda answer, judgement, made: None,
            changes=lambda made, spec: decide(made, spec, (), "plan", place).verdict != "allow",
            touched=lambda made, spec: [self.root / made.arguments["path"]] if made.name in ("write", "edit") else None,
            attended=lambda: setup.attended,
            now=self.clock,
            monotonic=self.clock,
            new_id=lambda: f"id{next(_ids)}",
            around_tools=setup.around_tools,
            warn=setup.warn,
            redact=setup.redact,
            response_schema=setup.response_schema,
            checklist=setup.checklist,
            planning=setup.planning,
            plan_needs_approval=setup.plan_needs_approval,
        )
        return Session(self._log, self.bus, ports, contents.records if contents else ())

    def _begin(self) -> None:
        setup, worktree = self.setup, self.worktree
        self.session.emit(
            ev.SessionStarted(
                session_id="s1",
                workspace=str(self.root),
                base_tree=worktree.base.tree,
                model=REF,
                mode=setup.mode,  # type: ignore[arg-type]
                interactive=setup.attended,
                limits=setup.limits,
                checks=setup.checks,
            )
        )
        tools = self.toolbox.specs() + ((UPDATE_PLAN_SPEC,) if setup.planning else ())
        if setup.response_schema is not None:
            tools += (final_output_spec(setup.response_schema),)
        self.session.emit(
            ev.PrefixSet(
                system=system_prompt(interactive=setup.attended, planning=setup.planning),
                tools=tuple(sorted(tools, key=lambda tool: tool.name)),
            )
        )
        if setup.environment:
            self.session.emit(ev.ContextAdded(source="environment", text=setup.environment))


@asynccontextmanager
async def rig(top: Path, *steps: Step, model: Any = None, **setup: Any) -> AsyncIterator[Rig]:
    """A session in a fresh repository. To be entered and left in one task."""
    wanted = Setup(**setup)
    home = Home(top / "place")
    home.commit(wanted.files)
    worktree = await home.task()
    host = ExtensionHost(workspace=worktree.path, state=top / "state", env=ENV, environment=ENV)
    extensions = [Builtin(name="developer")] if wanted.tools else []
    async with Toolbox(extensions, host=host, bundled=bundled.extensions()) as toolbox:
        await toolbox.settle(10.0)
        made = Rig(top, home, worktree, toolbox, wanted, model or TestModel(*steps))
        try:
            yield made
        finally:
            await made.session.interrupt()
            made._log.close()


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


async def _spawn(argv: Any, *, cwd: str, env: Any, stdout: int, stderr: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, env=dict(env), stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
    )
