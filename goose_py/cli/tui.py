"""The terminal interface: it is one consumer of a task among others."""

from typing import Any


def open_conversation(*, new: bool, inline: bool, flags: dict[str, Any]) -> int:
    from goose_py.actions.screen.open import conversation

    return conversation(new=new, inline=inline, flags=flags)


def open_task(task_id: str, *, inline: bool) -> int:
    from goose_py.actions.screen.open import attach

    return attach(task_id, inline=inline)
