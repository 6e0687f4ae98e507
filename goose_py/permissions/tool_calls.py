"""Tools that are no shells, judged by what they claim (if they are ours) and by the paths in their arguments."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from goose_py.permissions import paths
from goose_py.permissions.decision import Part, Place, Verdict
from goose_py.permissions.patterns import Pattern, path_pattern
from goose_py.permissions.rules import Found, Rule, strictest
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.modes import Mode
from goose_py.protocol.secret_files import holds_secrets
from goose_py.protocol.tools import ToolSpec

COMMAND_ARGUMENT: Final = "command"
FOLDER_ARGUMENTS: Final = ("cwd", "working_dir", "workdir")
# As they are spelled in any style: `file_path`, `filePath` and `FilePath` are one.
_PATH_ARGUMENTS: Final = frozenset(
    {
        "path", "paths", "filepath", "filepaths", "file", "files", "filename", "filenames", "uri", "uris", "directory",
        "directories", "dir", "folder", "folders", "root", "source", "destination", "target", "oldpath", "newpath", "frompath",
        "topath", "inputpath", "outputpath", "inputfile", "outputfile", "cwd", "workingdir", "workingdirectory", "workdir",
    }
)  # fmt: skip
_LEVELS: Final = 8
"""How deep into the arguments of tools that are not ours."""
_PATCH_ARGUMENTS: Final = ("patch", "diff")

# The lines by which V4A and unified patches name files.
_PATCHED: Final = re.compile(
    r"^(?:\*\*\* (?P<verb>Add|Update|Delete) File: |\*\*\* Move to: |\+\+\+ (?:b/)?|--- (?:a/)?|rename (?:from|to) )"
    r"(?P<path>[^\t\n]+)",
    re.MULTILINE,
)
_DELETES_NEXT: Final = re.compile(r"^--- (?:a/)?(?P<path>[^\t\n]+)[^\n]*\n\+\+\+ /dev/null", re.MULTILINE)


def named_paths(arguments: Mapping[str, Any], deepest: int = 2) -> Iterator[str]:
    """The paths in a call's arguments, by the names that tools give them, and those inside a patch. `deepest` is how many
    levels of objects and lists are looked into."""
    yield from _paths_in(arguments, "", deepest)
    for name in _PATCH_ARGUMENTS:
        value = arguments.get(name)
        if isinstance(value, str):
            for match in _PATCHED.finditer(value):
                if (path := match["path"].strip()) != "/dev/null":
                    yield path


def _paths_in(value: object, name: str, levels: int) -> Iterator[str]:
    """`name` is the nearest one that `value` has: an item of a list has its list's."""
    if isinstance(value, str):
        if value and "".join(filter(str.isalnum, name)).lower() in _PATH_ARGUMENTS and (path := _path_of(value)):
            yield path
    elif levels and isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _paths_in(inner, str(key), levels - 1)
    elif levels and isinstance(value, list | tuple):
        for inner in value:
            yield from _paths_in(inner, name, levels - 1)


def _path_of(text: str) -> str:
    """What a path or a `file:` address names; "" for an address of anything else."""
    scheme, found, rest = text.partition("://")
    if not found or not scheme.isalnum():
        return text
    return unquote("/" + rest.partition("/")[2]) if scheme.lower() == "file" else ""


def deleted_paths(arguments: Mapping[str, Any]) -> Iterator[str]:
    """The files that a patch deletes."""
    for name in _PATCH_ARGUMENTS:
        value = arguments.get(name)
        if isinstance(value, str):
            yield from (match["path"].strip() for match in _PATCHED.finditer(value) if match["verb"] == "Delete")
            yield from (match["path"].strip() for match in _DELETES_NEXT.finditer(value))


def tool_rule(call: ToolCall, spec: ToolSpec, rules: Sequence[Rule]) -> Found | None:
    """The strictest rule about the tool or its extension as such."""
    return strictest(Found(rule) for rule in rules if rule.matches_tool(call.name, spec.extension, call.arguments))


def judge_tool(
    call: ToolCall, spec: ToolSpec, rules: Sequence[Rule], mode: Mode, place: Place, recorded: bool = False
) -> tuple[Part, ...]:
    """The parts of a call. Never empty. `recorded`: what it deletes can be brought back."""
    found = strictest(Found(rule) for rule in rules if rule.matches_tool(call.name, spec.extension, call.arguments))
    if found is not None and found.rule.verdict == "deny":
        return (Part(call.name, "deny", found.rule.reason or f"The rule “{found.rule.pattern}” denies it."),)
    if mode == "plan" and not spec.read_only:
        return (Part(call.name, "deny", f"plan mode: propose instead. {call.name} may change something."),)
    resolved = [_resolved(spec, place, path) for path in named_paths(call.arguments, 2 if spec.trusted else _LEVELS)]
    parts = [_path_part(spec, rules, mode, place, path) for path in resolved]
    if not spec.read_only and not (recorded and spec.trusted and place.sandbox != "none"):
        parts += _deletions(call, spec, mode, place)
    return (_own_part(call, spec, found.rule if found else None, mode, bool(resolved)), *parts)


def _own_part(call: ToolCall, spec: ToolSpec, rule: Rule | None, mode: Mode, has_paths: bool) -> Part:
    """The tool itself, its paths aside."""
    name = call.name
    pattern = str(Pattern("tool", name))
    if rule is not None:
        reason = rule.reason or f"The rule “{rule.pattern}” {'allows it' if rule.verdict == 'allow' else 'asks about it'}."
        # No grant lifts a rule that asks: none is offered.
        return Part(name, "deny" if mode == "plan" and rule.verdict == "ask" else rule.verdict, reason)
    claims = spec.annotations
    if not spec.trusted:
        verdict: Verdict = "allow" if mode == "auto" else "ask"
        return Part(name, verdict, f"{name} belongs to an extension whose claims are not relied upon.", pattern)
    if claims.read_only and not claims.open_world:
        return Part(name, "allow", "It changes nothing.")
    if mode == "auto" or (mode == "ask" and not claims.open_world and (has_paths or not claims.destructive)):
        return Part(name, "allow", "It changes only what is the task's own.")
    if mode == "plan":
        return Part(name, "allow", "It reads from outside this machine and changes nothing.")
    reach = "reaches outside this machine" if claims.open_world else "may discard something"
    return Part(name, "ask", f"{name} {reach}.", pattern)


def _path_part(spec: ToolSpec, rules: Sequence[Rule], mode: Mode, place: Place, path: str) -> Part:
    writes = not spec.read_only
    asks: Verdict = "deny" if mode == "plan" else "ask"
    found = strictest(Found(rule) for rule in rules if rule.matches_path(path, writes=writes))
    if found is not None and found.rule.verdict != "allow":
        verdict: Verdict = "deny" if found.rule.verdict == "deny" else asks
        return Part(path, verdict, found.rule.reason or f"The rule “{found.rule.pattern}” covers {path}.")
    if not spec.trusted:
        # Its process is confined by the sandbox, or runs elsewhere: a path of its own says nothing about this machine.
        return Part(path, "allow", "It is the extension's own affair.")
    if not (paths.in_workspace(place, path) or (found is not None) or (not writes and paths.is_shared(place, path))):
        return Part(path, "deny", f"{path} is outside the workspace {place.workspace}.")
    if writes and (name := paths.protected_name(place, paths.beneath_workspace(place, path))):
        return Part(path, "deny", f"{path} cannot be written: “{name}” is protected.")
    if found is None and not writes and holds_secrets(path):
        return Part(path, asks, f"{path} may hold secrets.", str(path_pattern(place, "read", path)))
    return Part(path, "allow", "It is inside the workspace.")


def _resolved(spec: ToolSpec, place: Place, path: str) -> str:
    return paths.named(place, path) if spec.trusted else paths.resolve(place, place.workspace, path)


def _deletions(call: ToolCall, spec: ToolSpec, mode: Mode, place: Place) -> Iterator[Part]:
    for path in deleted_paths(call.arguments):
        resolved = _resolved(spec, place, path)
        if resolved not in place.created:
            verdict: Verdict = "deny" if mode == "plan" else "ask"
            yield Part(resolved, verdict, f"It deletes {resolved}, which the agent did not create.", destructive=True)
