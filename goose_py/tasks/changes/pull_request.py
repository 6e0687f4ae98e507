"""What a pull request says of a task: what was asked, the plan, the evidence, and what it cost. Pure."""

from collections.abc import Iterable

from goose_py.protocol import events as ev
from goose_py.protocol.amounts import counted, dollars
from goose_py.protocol.messages import Text
from goose_py.protocol.plan import Plan
from goose_py.protocol.safe_text import safe_text
from goose_py.review.evidence import evidence
from goose_py.tasks.summary import TaskSummary

MARKS = {"completed": "x", "failed": " ", "pending": " ", "in_progress": " "}
TITLE_LENGTH = 72


def title(summary: TaskSummary) -> str:
    """One line."""
    text = " ".join(safe_text(summary.title or f"Task {summary.task_id}").split())
    return text if len(text) <= TITLE_LENGTH else text[: TITLE_LENGTH - 1].rstrip() + "…"


def body(summary: TaskSummary, records: Iterable[ev.Record]) -> str:
    """Markdown. The evidence is about the tree `summary.result_tree`."""
    records = list(records)
    sections = [
        _section("Asked for", _asked(records)),
        _section("Summary", _last_words(records)),
        _section("Plan", _plan(records)),
        _section("Checks", _checks(records, summary.result_tree or "")),
        _section("How it was made", _made(summary)),
    ]
    return "\n".join(section for section in sections if section)


def _section(heading: str, text: str) -> str:
    return f"## {heading}\n\n{text}\n" if text else ""


def _asked(records: Iterable[ev.Record]) -> str:
    prompts = [record.event for record in records if isinstance(record.event, ev.PromptReceived)]
    texts = [part.text for prompt in prompts for part in prompt.parts if isinstance(part, Text)]
    return "\n\n".join("\n".join(f"> {line}".rstrip() for line in safe_text(text).splitlines()) for text in texts)


def _last_words(records: Iterable[ev.Record]) -> str:
    replies = [record.event.message.text() for record in records if isinstance(record.event, ev.ModelReplied)]
    return safe_text(next((text.strip() for text in reversed(replies) if text.strip()), ""))


def _plan(records: Iterable[ev.Record]) -> str:
    plan: Plan | None = None
    for record in records:
        if isinstance(record.event, ev.PlanProposed):
            plan = record.event.plan
    if plan is None:
        return ""
    return "\n".join(
        f"- [{MARKS[step.status]}] {safe_text(step.title)}" + (f" ({safe_text(step.acceptance)})" if step.acceptance else "")
        for step in plan.steps
    )


def _checks(records: Iterable[ev.Record], tree: str) -> str:
    checks: tuple[str, ...] = ()
    runs: list[ev.VerificationFinished] = []
    for record in records:
        match record.event:
            case ev.SessionStarted(checks=wanted):
                checks = wanted
            case ev.VerificationFinished() as run:
                runs.append(run)
            case _:
                pass
    found = evidence(checks, runs, tree)
    return "\n".join(f"- {safe_text(each.sentence())}" for each in found) or "No check was configured, so none was run."


def _made(summary: TaskSummary) -> str:
    tokens = summary.usage
    lines = [
        f"- {counted(summary.files, 'file')}, +{summary.added} −{summary.removed}, from {(summary.base or '')[:12]}",
        f"- model {summary.model}, {summary.seconds:.0f} s",
        f"- cost {dollars(summary.cost, unpriced=summary.unpriced)}: {tokens.input_tokens} uncached and "
        f"{tokens.cache_read_tokens} cached tokens in, {tokens.output_tokens} out",
        f"- by goose-py, task {summary.task_id}",
    ]
    return "\n".join(lines)
