"""Tools that are not shown until they are looked for.

A hundred tools of third-party servers cost more of the model's window than the work. So their schemas are offered only up
to a budget; what is beyond it, and what comes from a server that was not ready when the session's prefix was fixed, is
reached by two tools that stand for all of them:

- `tool_search{query}` answers with names, descriptions and schemas, as ordinary text of the conversation;
- `use_tool{name, arguments}` runs one of them.

The request's prefix stays the same bytes for the whole session, and no provider's own tool-search protocol is needed, so
that it works with a local model as well. A wrapper around the call (permission, repair) sees the tool itself: see
`Toolbox.resolve`.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from goose_py.protocol.tools import ToolAnnotations, ToolSpec

SEARCH = "tool_search"
USE = "use_tool"

EXTENSION = "tool search"
"""Whose tools these two are. No extension can have this name: theirs have no spaces."""

SCHEMA_BUDGET = 2000
"""Tokens that third-party tools may cost before one of them is used."""

_DESCRIPTION_SHARE = 0.4
_FULL_MATCHES = 5
_MATCH_CHARS = 6000
_LINES = 40
_LINE_CHARS = 110

_WORD = re.compile(r"[a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

USE_TOOL = ToolSpec(
    name=USE,
    description=f"Run a tool that {SEARCH} found. Give its name and its arguments as its schema says.",
    input_schema={
        "type": "object",
        "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}},
        "required": ["name"],
        "additionalProperties": False,
    },
    extension=EXTENSION,
    remote_name=USE,
    trusted=True,
)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An extension as `tool_search` speaks of it: `tools` are those that it knows of now."""

    extension: str
    description: str = ""
    tools: tuple[ToolSpec, ...] = ()


def tokens(spec: ToolSpec) -> int:
    """What a tool costs of the window, at four characters a token."""
    size = len(spec.name) + len(spec.description) + len(json.dumps(spec.input_schema, separators=(",", ":")))
    return math.ceil(size / 4)


def choose(sources: Sequence[Source], *, budget: int = SCHEMA_BUDGET, pending: bool = False) -> tuple[ToolSpec, ...]:
    """What is offered of third-party extensions: whole extensions, the smallest first, while they and the search fit into
    `budget` tokens, and the search where anything is left. `pending`: an extension is still starting, so that the search
    is needed in any case."""
    costs = {source.extension: sum(map(tokens, source.tools)) for source in sources}
    if not pending and sum(costs.values()) <= budget:
        return tuple(tool for source in sources for tool in source.tools)
    search = search_tool(sources, max_chars=int(budget * _DESCRIPTION_SHARE) * 4)
    left = budget - tokens(search) - tokens(USE_TOOL)
    offered: list[ToolSpec] = [search, USE_TOOL]
    for source in sorted(sources, key=lambda source: (costs[source.extension], source.extension)):
        if costs[source.extension] > left:
            break
        left -= costs[source.extension]
        offered += source.tools
    return tuple(offered)


def search_tool(sources: Sequence[Source], max_chars: int) -> ToolSpec:
    """`tool_search`, with one line for each extension; lines get shorter where there are many."""
    intro = f"Find tools that are not listed here, by what they do or by the extension's name. Run one with {USE}. Extensions:"
    room = max_chars - len(intro) - 200
    ordered = sorted(sources, key=lambda source: source.extension)
    width = min(_LINE_CHARS, max(0, room // max(1, len(ordered)) - 1))
    lines: list[str] = []
    used = 0
    for place, source in enumerate(ordered):
        line = _line(source, width)
        if used + len(line) + 1 > room:
            lines.append(f"and {len(ordered) - place} more")
            break
        lines.append(line)
        used += len(line) + 1
    return ToolSpec(
        name=SEARCH,
        description="\n".join([intro, *lines]),
        input_schema={
            "type": "object",
            "properties": {"query": {"type": "string", "description": "a few words, or a tool's or extension's name"}},
            "required": ["query"],
            "additionalProperties": False,
        },
        extension=EXTENSION,
        remote_name=SEARCH,
        annotations=ToolAnnotations(read_only=True, destructive=False, idempotent=True, open_world=False),
        trusted=True,
    )


def _line(source: Source, width: int) -> str:
    words = " ".join(source.description.split())
    name = f"- {source.extension}"
    if not words or width < len(name) + 10:
        return name
    line = f"{name}: {words}"
    return line if len(line) <= width else f"{line[: width - 1]}…"


def search(query: str, sources: Sequence[Source], states: Mapping[str, str] | None = None) -> str:
    """The answer to `tool_search`: the best matches with their schemas, further ones by line, and, where nothing fits,
    what there is. `states` says of extensions that are not ready why."""
    tools = [tool for source in sources for tool in source.tools]
    ranked = rank(query, tools)
    waiting = [f"{name}: {state}" for name, state in sorted((states or {}).items())]
    if not ranked:
        there = "\n".join(f"- {s.extension}: {', '.join(t.name for t in s.tools[:12])}" for s in sources if s.tools)
        parts = [f"No tool fits {query!r}.", *([f"There are:\n{there}"] if there else []), *waiting]
        return "\n".join(parts)
    out: list[str] = []
    used = 0
    shown = 0
    for tool in ranked[:_FULL_MATCHES]:
        text = _full(tool)
        if shown and used + len(text) > _MATCH_CHARS:
            break
        out.append(text[: _MATCH_CHARS * 2])
        used += len(text)
        shown += 1
    further = ranked[shown : shown + _LINES]
    if further:
        out.append("More matches (search by name for their schemas):")
        out += [f"- {tool.name}: {_first_line(tool.description)}" for tool in further]
    left = len(ranked) - shown - len(further)
    if left:
        out.append(f"and {left} more: use a narrower query")
    return "\n".join([*out, *waiting])


def rank(query: str, tools: Iterable[ToolSpec]) -> list[ToolSpec]:
    """The tools that share a word with the query, best first: rare words count more, words of a name more than words of
    a description. A query that is a tool's name has that tool first, one that is an extension's name all of its tools."""
    tools = list(tools)
    wanted = query.strip().lower()
    words = set(_words(query))
    documents = [(tool, _words(tool.name), _words(tool.description)) for tool in tools]
    spread: dict[str, int] = {}
    for _, name, description in documents:
        for word in {*name, *description}:
            spread[word] = spread.get(word, 0) + 1

    def score(tool: ToolSpec, name: list[str], description: list[str]) -> float:
        total = 100.0 if wanted in (tool.name.lower(), tool.remote_name.lower()) else 0.0
        total += 20.0 if wanted == tool.extension.lower() else 0.0
        for word in words:
            weight = math.log(1 + len(tools) / spread[word]) if word in spread else 0.0
            total += weight * (3.0 * (word in name) + 1.0 * (word in description))
            total += 0.5 * any(word != other and len(word) > 3 and other.startswith(word[:5]) for other in name)
        return total

    scored = [(score(*document), document[0]) for document in documents]
    return [tool for points, tool in sorted(scored, key=lambda pair: (-pair[0], pair[1].name)) if points > 0]


def _words(text: str) -> list[str]:
    return _WORD.findall(_CAMEL.sub(" ", text).lower())


def _full(tool: ToolSpec) -> str:
    schema = json.dumps(tool.input_schema, separators=(",", ":"), ensure_ascii=False)
    return f"## {tool.name}\n{tool.description.strip()[:2000]}\narguments: {schema}"


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 1]}…"
