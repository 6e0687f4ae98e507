"""What the prompt offers while something is typed: commands, files, models, earlier prompts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.segment import Segment

from goose_py.protocol.messages import ModelRef
from goose_py.protocol.safe_text import safe_line
from goose_py.tui.appearance import Look
from goose_py.tui.slash import matching
from goose_py.tui.widgets.text_layout import Row, fitted, fitted_start, spread

MOST = 50
"""Offers that are made at once; more typing finds the others."""


@dataclass(frozen=True)
class Completion:
    """`text` is what the prompt becomes. `complete`: it can be sent as it is; else more has to be typed."""

    kind: Literal["command", "file", "model", "earlier"]
    label: str
    meaning: str
    text: str
    complete: bool = False


def command_completions(text: str) -> tuple[Completion, ...]:
    found = []
    for command in matching(text):
        label = f"/{command.name} {command.argument}".rstrip()
        complete = not command.argument or command.argument.startswith("[")
        found.append(Completion("command", label, command.meaning, f"/{command.name}" + ("" if complete else " "), complete))
    return tuple(found)


def model_completions(text: str, models: Sequence[ModelRef]) -> tuple[Completion, ...]:
    """For `/model` with the beginning of a name after it."""
    command, space, typed = text.partition(" ")
    if command != "/model" or not space or "\n" in text:
        return ()
    names = dict.fromkeys(f"{model.provider}/{model.model}" for model in models)
    words = typed.lower().split()
    found = [name for name in names if all(word in name.lower() for word in words) and name != typed.strip()]
    return tuple(Completion("model", name, "", f"/model {name}", complete=True) for name in found[:MOST])


def earlier_completions(text: str, entries: Sequence[str]) -> tuple[Completion, ...]:
    """Earlier prompts in which every word occurs, the latest first."""
    words = text.lower().split()
    found = [entry for entry in reversed(entries) if all(word in entry.lower() for word in words)]
    return tuple(Completion("earlier", " ".join(entry.split()), "", entry) for entry in found[:MOST])


def fragment_at(line: str, column: int) -> str | None:
    """What follows the "@" that the cursor's word begins with; None where it begins with none."""
    word = line[:column].rpartition(" ")[2]
    return word[1:] if word.startswith("@") else None


def matching_files(files: Sequence[str], fragment: str) -> tuple[str, ...]:
    """The paths that have the letters of `fragment` in order, the best first: name begins with it, name has it, path has it,
    letters scattered; shorter before longer."""
    wanted = fragment.lower()
    ranked: list[tuple[int, int, str]] = []
    for path in files:
        lower = path.lower()
        rank = _rank(lower, wanted)
        if rank is not None:
            ranked.append((rank, len(path), path))
    ranked.sort()
    return tuple(path for _, _, path in ranked[:MOST])


def _rank(path: str, wanted: str) -> int | None:
    name = path.rpartition("/")[2]
    if name.startswith(wanted):
        return 0
    if wanted in name:
        return 1
    if wanted in path:
        return 2
    at = -1
    for char in wanted:
        at = path.find(char, at + 1)
        if at < 0:
            return None
    return 3


def completion_rows(completions: Sequence[Completion], chosen: int, width: int, look: Look, limit: int = 8) -> list[Row]:
    first = max(0, min(chosen - limit + 1, len(completions) - limit))
    rows: list[Row] = []
    for number, completion in enumerate(completions[first : first + limit], start=first):
        style = look["selected" if number == chosen else "text"]
        label = safe_line(completion.label)
        if completion.kind == "command":
            shown = f"{label:<32}"
        else:
            shown = fitted_start(label, width - 4) if completion.kind == "file" else fitted(label, width - 4)
        left = [Segment(" › " if number == chosen else "   ", look["accent"]), Segment(shown, style)]
        rows.append(spread([*left, Segment(completion.meaning, look["dim"])], [], width))
    return rows
