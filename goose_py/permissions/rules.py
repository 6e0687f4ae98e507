"""Rules: what a person has decided beforehand, with examples that prove that each one means what its author thinks.

In a settings file:

    [[rules]]
    verdict = "deny"                     # allow | ask | deny; the strictest rule that matches wins
    pattern = "git push *"               # see `patterns`; or several, in a list
    arguments = ["--force", "-f"]        # only when one of these words (with * and ?) is among the arguments
    extension = "developer"              # only for tools of this extension
    reason = "Pushes are made by people."
    match = ["git push --force origin"]  # examples, checked when the rule is loaded
    not_match = ["git push origin"]

For tools, `arguments` is a table of argument names and patterns of their values: `arguments = { branch = "main" }`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from goose_py.permissions.decision import SEVERITY, Verdict
from goose_py.permissions.patterns import Match, Pattern, matches, parse_pattern
from goose_py.permissions.shell import TooMuch, find_commands, parse
from goose_py.permissions.wrappers import Words
from goose_py.protocol.errors import UserError

_FIELDS: Final = ("verdict", "pattern", "arguments", "tool", "extension", "reason", "match", "not_match")


@dataclass(frozen=True, slots=True)
class Rule:
    """`words` limits a command rule to commands with one of these arguments, `values` a tool rule to calls whose named
    arguments look so. `tool` and `extension` limit it to calls of these ("*" is every one). `source` says where it stands,
    for people."""

    verdict: Verdict
    pattern: Pattern
    words: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    tool: str = "*"
    extension: str = "*"
    reason: str = ""
    source: str = ""

    def applies_to(self, tool: str, extension: str) -> bool:
        return _glob(tool, self.tool) and _glob(extension, self.extension)

    def matches_command(self, argv: Words) -> Match:
        """What forbids or asks covers further arguments even where its pattern does not end in `*`: a rule against `curl`
        is one against `curl URL`."""
        pattern = self.pattern
        if pattern.kind != "command" or not argv or argv[0] not in (pattern.words[0], None):
            return "no"
        if self.verdict != "allow" and not pattern.further:
            pattern = Pattern(pattern.kind, pattern.text, pattern.words, further=True)
        match = pattern.matches_command(argv)
        if match == "no" or not self.words:
            return match
        rest = argv[len(pattern.words) :]
        if any(word is not None and matches(word, wanted) for word in rest for wanted in self.words):
            return match
        return "maybe" if None in rest else "no"

    def matches_tool(self, tool: str, extension: str, arguments: Mapping[str, Any]) -> bool:
        if self.pattern.kind not in ("tool", "extension"):
            return False
        if not self.pattern.matches_name(tool if self.pattern.kind == "tool" else extension):
            return False
        return all(name in arguments and matches(str(arguments[name]), value) for name, value in self.values.items())

    def matches_path(self, path: str, *, writes: bool) -> bool:
        """A right to write is one to read as well; what is forbidden to be read is not written either."""
        kind = self.pattern.kind
        if kind not in ("read", "write"):
            return False
        covers_both = "write" if self.verdict == "allow" else "read"
        return (kind == covers_both or writes == (kind == "write")) and self.pattern.matches_path(path)


def _glob(name: str, pattern: str) -> bool:
    return pattern == "*" or matches(name, pattern)


@dataclass(frozen=True, slots=True)
class Found:
    """The strictest rule that matches, and whether it does for certain."""

    rule: Rule
    certain: bool = True


def strictest(matches: Iterable[Found]) -> Found | None:
    """A certain match before a possible one of the same verdict; the first of equals."""
    return max(matches, key=lambda found: (SEVERITY[found.rule.verdict], found.certain), default=None)


def parse_rule(fields: Mapping[str, Any], source: str = "", home: str = "") -> tuple[Rule, ...]:
    """One `[[rules]]` table as rules, one for each of its patterns, with its examples checked. `home` replaces a leading
    `~` of paths. Raises UserError with the place, what is wrong and what to do."""
    where = f"{source}: " if source else ""
    try:
        rules = tuple(_rules(fields, source, home))
        _check_examples(rules, fields)
    except UserError as error:
        raise UserError(f"{where}{error}") from error
    return rules


def _rules(fields: Mapping[str, Any], source: str, home: str) -> Iterable[Rule]:
    for name in fields:
        if name not in _FIELDS:
            raise UserError(f"A rule has no field “{name}”. It may have: {', '.join(_FIELDS)}.")
    verdict = fields.get("verdict")
    if verdict not in SEVERITY:
        raise UserError(f"The verdict of a rule is allow, ask or deny, not {verdict!r}.")
    lines = _strings(fields, "pattern")
    if not lines:
        raise UserError('A rule needs a pattern, such as pattern = "git push *".')
    arguments = fields.get("arguments", ())
    for line in lines:
        pattern = parse_pattern(line)
        if pattern.kind in ("read", "write") and pattern.text.startswith("./"):
            raise UserError(f"The path of “{pattern}” must begin with /, ~/ or **: a rule holds in every repository.")
        if pattern.kind in ("read", "write") and pattern.text.startswith("~/"):
            pattern = Pattern(pattern.kind, home + pattern.text[1:])
        yield Rule(
            verdict,
            pattern,
            words=_words(arguments, pattern),
            values=_values(arguments, pattern),
            tool=_string(fields, "tool", "*"),
            extension=_string(fields, "extension", "*"),
            reason=_string(fields, "reason", ""),
            source=source,
        )


def _words(arguments: object, pattern: Pattern) -> tuple[str, ...]:
    if isinstance(arguments, Mapping):
        return ()
    words = _strings({"arguments": arguments}, "arguments")
    if words and pattern.kind != "command":
        raise UserError('A list of arguments belongs to a command; for a tool write a table, { name = "value" }.')
    return words


def _values(arguments: object, pattern: Pattern) -> dict[str, str]:
    if not isinstance(arguments, Mapping):
        return {}
    if pattern.kind not in ("tool", "extension"):
        raise UserError("A table of arguments belongs to a tool; for a command write a list of words.")
    return {str(name): str(value) for name, value in arguments.items()}


def _string(fields: Mapping[str, Any], name: str, default: str) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise UserError(f"“{name}” of a rule is a text, not {value!r}.")
    return value


def _strings(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name, ())
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(item, str) for item in values):
        raise UserError(f"“{name}” of a rule is a text or a list of texts, not {value!r}.")
    return tuple(values)


def _check_examples(rules: tuple[Rule, ...], fields: Mapping[str, Any]) -> None:
    for example in _strings(fields, "match"):
        if not any(_example_matches(rule, example) for rule in rules):
            raise UserError(f"This rule should match {example!r} and does not; its pattern is “{rules[0].pattern}”.")
    for example in _strings(fields, "not_match"):
        for rule in rules:
            if _example_matches(rule, example):
                raise UserError(f"This rule should not match {example!r} and does; its pattern is “{rule.pattern}”.")


def _example_matches(rule: Rule, example: str) -> bool:
    """Examples are commands, paths or tool names, as the pattern's kind is."""
    kind = rule.pattern.kind
    if kind == "script":
        return example == rule.pattern.text
    if kind in ("tool", "extension"):
        return rule.pattern.matches_name(example)
    if kind in ("read", "write"):
        return rule.matches_path(example, writes=kind == "write")
    try:
        mentions = list(find_commands(parse(example)))
    except TooMuch as error:
        raise UserError(f"The example {example[:40]!r}... is too long.") from error
    return any(rule.matches_command(mention.argv) == "yes" for mention in mentions)
