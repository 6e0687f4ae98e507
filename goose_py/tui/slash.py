"""The commands that are typed: each thing a key does has a name too."""

from __future__ import annotations

from typing import NamedTuple

from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Effort, ModelRef


class SlashCommand(NamedTuple):
    name: str
    argument: str
    meaning: str


COMMANDS = (
    SlashCommand("help", "", "keys and commands"),
    SlashCommand("review", "", "look at the changes, keep or drop, apply"),
    SlashCommand("tasks", "", "open tasks and what they need"),
    SlashCommand("new", "", "begin another task"),
    SlashCommand("mode", "ask|plan|auto|chat", "how much it may do without asking"),
    SlashCommand("model", "provider/model[/effort]", "who answers from the next request on"),
    SlashCommand("plan", "", "show or hide the plan"),
    SlashCommand("checks", "", "run the checks on the files as they are"),
    SlashCommand("compact", "[undo]", "make room in the model's context"),
    SlashCommand("continue", "", "go on from where the last turn ended"),
    SlashCommand("interrupt", "", "stop the running turn"),
    SlashCommand("title", "TEXT", "name this task"),
    SlashCommand("copy", "[block|diff]", "copy the last reply, the block under the cursor, the changes"),
    SlashCommand("expand", "", "show or hide the whole output of tools"),
    SlashCommand("reject", "[REASON]", "close this task without applying it; nothing is deleted"),
    SlashCommand("quit", "", "leave; the task goes on"),
)
_EFFORTS = ("off", "minimal", "low", "medium", "high", "max")


def parse(text: str) -> tuple[str, str] | None:
    """(name, argument) where `text` is one line that begins with "/" and a word, else None: a path or a text that begins
    with a slash is a prompt."""
    line = text.strip()
    if not line.startswith("/") or "\n" in line:
        return None
    name, _, argument = line[1:].partition(" ")
    if not name or not name.replace("-", "").isalpha():
        return None
    return name, argument.strip()


def matching(text: str) -> tuple[SlashCommand, ...]:
    """The commands that `text`, as it is being typed, may become."""
    if not text.startswith("/") or " " in text or "\n" in text:
        return ()
    typed = text[1:].lower()
    return tuple(command for command in COMMANDS if command.name.startswith(typed))


def parse_model(text: str, current: ModelRef | None) -> ModelRef:
    """`provider/model`, `provider/model/effort`, or `model` of the provider that answers now. A model's name may itself hold
    slashes. Raises UserError."""
    parts = [part for part in text.split("/") if part]
    effort: Effort | None = None
    if len(parts) > 1 and parts[-1] in _EFFORTS:
        effort = parts.pop()  # type: ignore[assignment]
    if len(parts) == 1 and current is not None:
        return ModelRef(provider=current.provider, model=parts[0], effort=effort or current.effort)
    if len(parts) < 2:
        raise UserError("Say which model: /model provider/model, or /model provider/model/effort.")
    return ModelRef(provider=parts[0], model="/".join(parts[1:]), effort=effort)
