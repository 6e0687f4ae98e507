"""The folds of one session side by side: all that a session knows, had from its log."""

from collections.abc import Iterable

from goose_py.agent.context import Conversation
from goose_py.agent.limits import Spending, spend
from goose_py.agent.planner import PlanState
from goose_py.protocol import events as ev
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.modes import Mode
from goose_py.protocol.resolving import Resolving, resolving_after


class SessionState:
    """`feed` takes every record once, in order. `steering` and `queued` are the ids of prompts that wait, oldest first;
    `open_turn` is true between a TurnStarted and its TurnEnded; `noted_mode` is the mode that the model was last told of;
    `tree` is the workspace's tree at the end of the last turn, `base_tree` what it is compared with: what the task began as,
    or what of it was applied last; `work_from` is
    the tree that a piece of work began with whose last turn was cut short, None where none was; `checked` is the last result of
    each check; `answered`: the last turn handed over a final output; `questions` are the approvals that were asked for and not
    resolved; `measured` is what the provider counted last, as (tokens, number of the conversation's entries they stand for);
    `recorded` is what was recorded last of all that the workspace is;
    `resolving` are the files that a rebase left with conflict markers."""

    def __init__(self, records: Iterable[ev.Record] = ()) -> None:
        self.conversation = Conversation()
        self.plan = PlanState()
        self.spending = Spending()
        self.started: ev.SessionStarted | None = None
        self.prefix: ev.PrefixSet | None = None
        self.title = ""
        self.mode: Mode = "ask"
        self.noted_mode: Mode | None = None
        self.model = ModelRef(provider="", model="")
        self.limits = ev.Limits()
        self.turns = 0
        self.open_turn = False
        self.answered = False
        self.work_from: str | None = None
        self.checked: dict[str, ev.VerificationFinished] = {}
        self._turn_from: str | None = None
        self.outcome: ev.TurnEnded | None = None
        self.tree: str | None = None
        self.recorded: ev.StateRecorded | None = None
        self.base_tree: str | None = None
        self.steering: tuple[str, ...] = ()
        self.queued: tuple[str, ...] = ()
        self.last_seq = 0
        self.questions: tuple[str, ...] = ()
        self.resolving: tuple[Resolving, ...] = ()
        self.measured: tuple[int, int] | None = None
        for record in records:
            self.feed(record)

    def feed(self, record: ev.Record) -> None:
        self.conversation.feed(record)
        self.plan.feed(record)
        self.spending = spend(self.spending, record)
        self.last_seq = record.seq
        event = record.event
        self.resolving = resolving_after(self.resolving, event)
        match event:
            case ev.SessionStarted():
                self.started, self.mode, self.model, self.title = event, event.mode, event.model, event.title
                self.limits, self.tree, self.base_tree = event.limits, event.base_tree, event.base_tree
            case ev.LimitsSet():
                self.limits = event.limits
            case ev.PrefixSet():
                self.prefix = event
            case ev.TitleSet():
                self.title = event.title
            case ev.ModeSet():
                self.mode = event.mode
            case ev.ModelSet():
                self.model = event.model
            case ev.ContextAdded(source="mode"):
                self.noted_mode = self.mode
            case ev.PromptReceived(delivery="steer"):
                self.steering = (*self.steering, event.prompt_id)
            case ev.PromptReceived(delivery="queue"):
                self.queued = (*self.queued, event.prompt_id)
            case ev.PromptDelivered() | ev.PromptWithdrawn():
                self.steering = tuple(item for item in self.steering if item != event.prompt_id)
                self.queued = tuple(item for item in self.queued if item != event.prompt_id)
            case ev.ApprovalRequested():
                self.questions = (*self.questions, event.approval_id)
            case ev.ApprovalResolved():
                self.questions = tuple(item for item in self.questions if item != event.approval_id)
            case ev.UsageRecorded() if event.phase != "summarise" and not event.usage.estimated:
                self.measured = (event.usage.context_tokens, self.conversation.said())
            case ev.ContextCompacted():
                self.measured, self.noted_mode = None, None
            case ev.FinalOutput():
                self.answered = True
            case ev.TurnStarted():
                self.answered, self._turn_from = False, self.tree
                self.turns, self.open_turn, self.outcome = event.turn, True, None
            case ev.TurnEnded():
                self.open_turn, self.outcome = False, event
                cut = event.outcome in ("interrupted", "limit", "provider_error")
                self.work_from = (self.work_from or self._turn_from) if cut else None
            case ev.VerificationFinished():
                self.checked[event.command] = event
            case ev.ChangesRecorded():
                self.tree = event.tree_after
            case ev.StateRecorded():
                self.recorded = event
            case ev.ChangesApplied():
                self.base_tree = event.tree
            case ev.Rebased():
                self.tree, self.base_tree, self.work_from = event.tree, event.base_tree, None
            case ev.Rewound():
                self.tree = event.tree
                self.recorded = ev.StateRecorded(tree=event.tree, state=event.state) if event.state else None
                if event.scope != "files":
                    self.measured, self.noted_mode = None, None
            case _:
                pass
