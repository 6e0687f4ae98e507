"""What a repository's own configuration may do: less than the user's, and nothing that runs before a person approved it.

A trusted repository still cannot choose the mode, the provider or its address, allow rules or the sandbox (A25). What it
wants executed (extensions, checks, the worktree's setup) is a proposal: it counts once its hash is among the approved
ones, and a change of any part of it is a new hash (A27).
"""

import hashlib
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from goose_py.config import keys
from goose_py.config.layers import Layer, join_key, leaves, put
from goose_py.config.settings import ExtensionSettings, Settings

_UNITS = 2
"""An extension is approved whole: `extensions.NAME`. Other keys that execute are a unit each."""

_WHOSE = {
    "mode": "what may be done without asking is your decision",
    "plan_approval": "what may be done without asking is your decision",
    "provider": "where your code is sent is your decision",
    "providers": "where your code is sent is your decision",
    "phases": "where your code is sent is your decision",
    "models": "what a model costs and can do is not the repository's to say",
    "sandbox": "how strong the sandbox is is your decision",
    "worktree": "where worktrees are kept is your decision",
    "ui": "how the screen looks is your decision",
}


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the project's file that does not count, and why."""

    key: str
    file: str
    reason: str


class Executable(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the repository wants run. `content` is what exactly, as canonical JSON; `sha256` is its hash, which
    is what an approval is bound to."""

    key: str
    summary: str
    content: str
    sha256: str


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """`values` may be merged; `pending` are the executables that wait for an approval, `executables` all of them."""

    values: dict[str, Any]
    ignored: tuple[Ignored, ...]
    executables: tuple[Executable, ...]
    pending: tuple[Executable, ...]


def admit(layer: Layer, user: Settings, approved: Collection[str]) -> Admitted:
    """The part of a trusted repository's layer that counts, over the settings that hold without it. `layer` is valid."""
    values: dict[str, Any] = {}
    ignored: list[Ignored] = []
    proposals: dict[tuple[str, ...], dict[str, Any]] = {}
    for path, value, key in leaves(layer.values):
        if not isinstance(key, keys.Key):
            continue
        if key.scope == "executes":
            proposals.setdefault(path[: _UNITS if path[0] == "extensions" else None], {})[path[-1]] = value
            continue
        value, reason = _judge(key, path, value, user)
        if value is not None:
            put(values, path, value)
        if reason:
            ignored.append(Ignored(key=join_key(path), file=layer.where, reason=reason))

    executables = tuple(executable(path, fields) for path, fields in proposals.items())
    pending = []
    for (path, fields), proposal in zip(proposals.items(), executables, strict=True):
        if path[0] == "extensions" and path[1] in user.extensions:
            reason = "you have an extension of that name"
        elif proposal.sha256 not in approved:
            reason = f"not approved yet: {proposal.summary}"
            pending.append(proposal)
        else:
            put(values, path, fields if path[0] == "extensions" else fields[path[-1]])
            continue
        ignored.append(Ignored(key=join_key(path), file=layer.where, reason=reason))
    return Admitted(values=values, ignored=tuple(ignored), executables=executables, pending=tuple(pending))


def _judge(key: keys.Key, path: tuple[str, ...], value: Any, user: Settings) -> tuple[Any, str]:
    """The value that counts (None: none of it), and why what does not count does not."""
    if key.scope == "both":
        return value, ""
    if key.scope == "user":
        return None, f"only your own configuration may set it: {_WHOSE[path[0]]}"
    if path[0] == "rules":
        strict = [rule for rule in value if is_restriction(rule)]
        dropped = len(value) - len(strict)
        return strict or None, f"{dropped} of its rules would allow something: only you may" if dropped else ""
    limit = getattr(user.limits, path[-1])
    if value == "none" or (limit is not None and value > limit):
        return None, f"a repository may only lower a limit, and yours is {'none' if limit is None else limit}"
    return value, ""


def is_restriction(rule: Mapping[str, Any]) -> bool:
    """Whether a rule asks or denies. Anything else, also a rule that is not understood, may allow something."""
    return rule.get("verdict") in ("ask", "deny")


def terms(env: Mapping[str, str], keys: Sequence[str], headers: Mapping[str, str], cwd: str | None) -> str:
    """What an extension is given beside its command or address, for whoever is asked to approve it; "" for nothing."""
    found = [f"with {name}={shlex.quote(value)}" for name, value in env.items()]
    found += [f"with the header {name}: {value}" for name, value in headers.items()]
    if keys:
        found.append(f"given your {', '.join(keys)}")
    if cwd:
        found.append(f"in {cwd}")
    return f" [{'; '.join(found)}]" if found else ""


def executable(path: tuple[str, ...], fields: Mapping[str, Any]) -> Executable:
    """An extension, the list of checks, or a setup command, by its path in the table of keys."""
    if path[0] == "extensions":
        extension = msgspec.convert(fields, ExtensionSettings)
        content = {"kind": "extension", "name": path[1], **msgspec.to_builtins(extension)}
        summary = shlex.join((extension.cmd, *extension.args)) if extension.cmd else extension.uri or path[1]
        summary += terms(extension.env, extension.env_keys, extension.headers, extension.cwd)
    else:
        value = fields[path[-1]]
        content = {"kind": ".".join(path), "commands": value}
        summary = value if isinstance(value, str) else "; ".join(value)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Executable(
        key=join_key(path),
        summary=summary,
        content=canonical,
        sha256=hashlib.sha256(canonical.encode()).hexdigest(),
    )
