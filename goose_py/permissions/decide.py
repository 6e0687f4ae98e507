"""`decide`: one tool call, the rules, the mode and the place make one decision. Pure and total."""

from collections.abc import Sequence
from dataclasses import replace

from goose_py.permissions import paths
from goose_py.permissions.decision import Decision, Part, Place, combine
from goose_py.permissions.rules import Rule
from goose_py.permissions.script import judge_script
from goose_py.permissions.tool_calls import COMMAND_ARGUMENT, FOLDER_ARGUMENTS, judge_tool, tool_rule
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.modes import Mode
from goose_py.protocol.tools import ToolSpec


def decide(
    call: ToolCall,
    spec: ToolSpec,
    rules: Sequence[Rule],
    mode: Mode,
    place: Place,
    *,
    writes: bool = False,
    recorded: bool = False,
) -> Decision:
    """Allow, ask or deny, with the reason and the part of the call that caused it.

    Every part of the call is judged by itself and the strictest verdict wins; for one part, the strictest rule that matches it
    wins over what is known of the command or the tool. Work that would be discarded is asked about in every mode, whatever the
    rules allow, and the decision then says that a snapshot comes first; not so what is `recorded`: all that lies in the
    workspace, where a sandbox keeps the call from reaching further. In plan mode there is no "ask": what does not only read is
    denied. Grants are rules too (`grants.rules_of`). `writes`: a command that was taken for one that changes nothing wanted to
    change something when it ran, and is judged as what it is."""
    if mode == "chat":
        return combine([Part(call.name, "deny", "chat mode: no tools run.")])
    if call.malformed is not None:
        return combine([Part(call.name, "deny", "The arguments are not one complete JSON object.")])
    command = call.arguments.get(COMMAND_ARGUMENT)
    if spec.trusted and isinstance(command, str) and (name := paths.misnamed_in(place, command)) is not None:
        return combine([Part(call.name, "deny", _misnamed(place, name))])
    applying = [rule for rule in rules if rule.applies_to(call.name, spec.extension)]
    parts = list(judge_tool(call, spec, applying, _tool_mode(call, spec, mode), place, recorded))
    if isinstance(command, str) and parts[0].verdict != "deny":
        parts = _with_script(parts, command, call, spec, applying, mode, place, writes, recorded)
    return combine(parts)


def _misnamed(place: Place, name: str) -> str:
    """Our own tools take the one path for the other; a command cannot, where nothing is mounted."""
    return (
        f"It names {name}, the user's checkout, where nothing of this task is done: the files of the task are in "
        f"{place.workspace}. Say that path, or relative ones."
    )


def _runs_shell(call: ToolCall, spec: ToolSpec) -> bool:
    return spec.trusted and isinstance(call.arguments.get(COMMAND_ARGUMENT), str)


def _tool_mode(call: ToolCall, spec: ToolSpec, mode: Mode) -> Mode:
    """Our own shell is judged by its command alone; what the tool itself could do says nothing more."""
    return "auto" if _runs_shell(call, spec) else mode


def _with_script(
    parts: list[Part],
    command: str,
    call: ToolCall,
    spec: ToolSpec,
    rules: Sequence[Rule],
    mode: Mode,
    place: Place,
    writes: bool,
    recorded: bool,
) -> list[Part]:
    found = tool_rule(call, spec, rules)
    blanket = found.rule if found is not None and found.rule.verdict == "allow" else None
    recorded = recorded and spec.trusted  # where somebody else's tool runs is not known
    script = judge_script(command, _folder(call, place), rules, mode, place, blanket, writes=writes, recorded=recorded)
    if spec.trusted:
        # What runs is the command: the tool by itself changes nothing.
        return [*script, *(replace(part, reads=True) for part in parts)]
    # Somebody else's tool may or may not be a shell: its command can only make the verdict stricter.
    return [*parts, *(part for part in script if part.verdict == "deny" or part.destructive)]


def _folder(call: ToolCall, place: Place) -> str:
    for name in FOLDER_ARGUMENTS:
        folder = call.arguments.get(name)
        if isinstance(folder, str) and folder:
            return paths.resolve(place, place.start, folder)
    return place.start
