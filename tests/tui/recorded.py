"""Logs to replay: what a worker would have sent, made of the real events."""

from collections.abc import Iterable

from goose_py.protocol import events as ev
from goose_py.protocol.messages import AssistantMessage, ModelRef, Text, Thinking, ToolCall, ToolResult, Usage
from goose_py.protocol.plan import Plan, PlanStep

MODEL = ModelRef(provider="anthropic", model="sonnet-5", effort="high")
BASE_TREE, RESULT_TREE = "a" * 40, "b" * 40


class Log:
    """Appends events with the next `seq`, one second apart."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.records: list[ev.Record] = []
        self.at = start

    def add(self, *events: ev.DurableEvent, after: float = 1.0) -> "Log":
        for event in events:
            self.at += after
            self.records.append(ev.Record(seq=len(self.records) + 1, at=self.at, event=event))
        return self


def started(**changes: object) -> ev.SessionStarted:
    fields: dict[str, object] = {
        "session_id": "7f3a9c21",
        "title": "coupon and gift card total",
        "workspace": "/home/me/.local/state/goose-py/tasks/7f3a9c21/shop",
        "repository": "/home/me/src/shop",
        "branch": "goose/coupon",
        "base_branch": "main",
        "base": "4c1d0e2" + "0" * 33,
        "base_tree": BASE_TREE,
        "model": MODEL,
        "checks": ("pytest -q",),
        "limits": ev.Limits(max_cost=5.0, max_seconds=600.0),
    }
    return ev.SessionStarted(**{**fields, **changes})  # type: ignore[arg-type]


def prompt(text: str, prompt_id: str = "p1", **fields: object) -> ev.PromptReceived:
    return ev.PromptReceived(prompt_id=prompt_id, parts=(Text(text),), **fields)  # type: ignore[arg-type]


def call(call_id: str, name: str, **arguments: object) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


def reply(text: str = "", *calls: ToolCall, thinking: str = "", **fields: object) -> ev.ModelReplied:
    parts: list[Text | Thinking | ToolCall] = []
    if thinking:
        parts.append(Thinking(text=thinking))
    if text:
        parts.append(Text(text))
    message = AssistantMessage(parts=(*parts, *calls), origin=MODEL, stop_reason="tool_calls" if calls else "end")
    return ev.ModelReplied(message=message, **fields)  # type: ignore[arg-type]


def usage(tokens: int = 84_000, output: int = 700, cost: float | None = 0.10) -> ev.UsageRecorded:
    return ev.UsageRecorded(model=MODEL, usage=Usage(input_tokens=tokens, output_tokens=output), cost=cost)


def tool(made: ToolCall, text: str, seconds: float = 0.1, failed: bool = False) -> tuple[ev.DurableEvent, ...]:
    result = ToolResult(call_id=made.id, content=(Text(text),) if text else (), is_error=failed)
    return ev.ToolStarted(call=made), ev.ToolFinished(result=result, seconds=seconds)


def plan(*statuses: str, titles: Iterable[str] = ()) -> Plan:
    names = tuple(titles) or (
        "Find where discounts are applied",
        "Reproduce with a failing test",
        "Reorder coupon and gift card",
        "Add regression test",
        "Run full suite, update changelog",
    )
    return Plan(steps=tuple(PlanStep(title=name, status=status) for name, status in zip(names, statuses, strict=False)))  # type: ignore[arg-type]


READ = call("c1", "read", path="src/cart.py", start_line=1, end_line=214)
SEARCH = call("c2", "grep", pattern="apply_coupon", path="src")
TEST = call("c3", "shell", command="pytest -q tests/test_cart.py")
EDIT = call(
    "c4",
    "edit",
    path="src/cart.py",
    old_string="    subtotal = sum(line.total for line in self.lines)\n    subtotal -= self.gift_card.balance\n"
    "    subtotal = round(subtotal * self.rate, 2)\n    return subtotal\n",
    new_string="    subtotal = sum(line.total for line in self.lines)\n    subtotal = self._apply_coupon(subtotal)\n"
    "    subtotal -= min(subtotal, self.gift_card.balance)\n    return quantize(subtotal)\n",
)
DANGEROUS = call("c5", "shell", command="rm -rf .tox && tox -e py311")


def coupon(until: str = "") -> list[ev.Record]:
    """The conversation of the mock-ups. `until` names where it stops: "edit", "approval", "checked", or at the end."""
    log = Log().add(
        started(),
        prompt("The cart total is wrong when a coupon and a gift card are combined. Fix it and add a test. @src/cart.py"),
        ev.TurnStarted(turn=1),
        reply(
            "I'll look at how discounts are applied before changing anything.",
            call("c0", "update_plan", steps=[]),
            READ,
            SEARCH,
            thinking="The user wants the discount order fixed. I should look first.",
        ),
        usage(),
        ev.PlanProposed(plan=plan("in_progress", "pending", "pending", "pending", "pending")),
        ev.PlanDecided(approved=True, by="policy"),
        ev.PlanStepStarted(index=0, title="Find where discounts are applied"),
        *tool(READ, "\n".join(f"{n}: line" for n in range(1, 215)), 0.02),
        *tool(SEARCH, "src/cart.py:88: apply_coupon\nsrc/cart.py:103: def _apply_coupon\nsrc/refund.py:41: apply_coupon"),
        reply("", call("c0b", "update_plan", steps=[]), TEST),
        usage(),
        ev.PlanProposed(plan=plan("completed", "in_progress", "pending", "pending", "pending")),
        ev.PlanStepFinished(index=0, title="Find where discounts are applied", status="completed"),
        ev.PlanStepStarted(index=1, title="Reproduce with a failing test"),
        *tool(TEST, "14 passed, 1 failed: test_gift_card_after_coupon\nexit code 1", 2.4, failed=True),
        reply(
            "The coupon is applied **after** the gift card, so the percentage is taken of the reduced amount. "
            "I'll reorder and keep the rounding in one place:",
            call("c0c", "update_plan", steps=[]),
            EDIT,
        ),
        usage(),
        ev.PlanProposed(plan=plan("completed", "completed", "in_progress", "pending", "pending")),
        ev.PlanStepFinished(index=1, title="Reproduce with a failing test", status="completed"),
        ev.PlanStepStarted(index=2, title="Reorder coupon and gift card"),
        *tool(EDIT, "src/cart.py: 3 lines changed"),
    )
    if until == "edit":
        return log.records
    log.add(
        reply("The old tox environment pins the wrong library, so I make it anew.", DANGEROUS),
        usage(),
        ev.ApprovalRequested(
            approval_id="a1",
            call=DANGEROUS,
            reason="rm -rf is not covered by your rules.",
            cause="rm -rf",
            patterns=("shell(tox *)", "shell(rm -rf .tox)"),
        ),
    )
    if until == "approval":
        return log.records
    log.add(
        ev.ApprovalResolved(approval_id="a1", allowed=True, by="user"),
        *tool(DANGEROUS, "py311: OK\n  congratulations :)", 41.0),
        ev.VerificationFinished(command="pytest -q", exit_code=0, tree=RESULT_TREE, seconds=6.0, output="15 passed in 5.80s\n"),
        ev.PlanProposed(plan=plan("completed", "completed", "completed", "completed", "completed")),
        ev.PlanStepFinished(index=2, title="Reorder coupon and gift card", status="completed"),
        ev.PlanStepFinished(index=3, title="Add regression test", status="completed"),
        ev.PlanStepFinished(index=4, title="Run full suite, update changelog", status="completed"),
    )
    if until == "checked":
        return log.records
    return log.add(
        reply("The coupon now comes off the full subtotal; the gift card is a payment. All 15 tests pass."),
        usage(),
        ev.ChangesRecorded(tree_before=BASE_TREE, tree_after=RESULT_TREE, files=2, added=40, removed=18),
        ev.TurnEnded(outcome="done"),
    ).records
