"""How to go on with a task from the command line: one place, so that every screen says the same. Pure."""

from typing import NamedTuple

from goose_py.protocol.events import Outcome


class Next(NamedTuple):
    """`command` can be typed as it stands, apart from words in capitals; `does` follows it in a sentence."""

    command: str
    does: str


def next_commands(task_id: str, outcome: Outcome | None, *, changed: bool) -> tuple[Next, ...]:
    """What comes first to mind first; nothing where nothing is left to do. `outcome` is how the last turn ended, None where it
    never did; `changed`: there are changes to review."""
    review = (
        Next(f"goose-py review {task_id}", "shows the changes"),
        Next(f"goose-py apply {task_id} --all", "applies them"),
    )
    resume = Next(f"goose-py task resume {task_id}", "lets it go on")
    left = review if changed else ()
    match outcome:
        case "done":
            return left
        case "awaiting_plan":
            return (
                Next(f"goose-py inbox answer {task_id} --allow", "approves the plan and carries it out"),
                Next(f"goose-py inbox answer {task_id} --deny -m CHANGE", "asks for another"),
            )
        case "limit":
            return (Next(f"goose-py task limit {task_id}", "shows the limit and raises it"), resume, *left)
        case _:
            return (resume, *left)
