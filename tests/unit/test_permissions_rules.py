"""Patterns and rules: what they match, and what a mistake in one says."""

import pytest

from goose_py.permissions.decision import Part, combine
from goose_py.permissions.patterns import Pattern, parse_pattern, suggest
from goose_py.permissions.rules import Found, Rule, parse_rule, strictest
from goose_py.protocol.errors import UserError


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("npm test", Pattern("command", words=("npm", "test"))),
        ("npm test *", Pattern("command", words=("npm", "test"), further=True)),
        ("git commit -m 'two words'", Pattern("command", words=("git", "commit", "-m", "two words"))),
        ("ls '*'", Pattern("command", words=("ls", "*"))),
        ("ls *.py", Pattern("command", words=("ls", "*.py"))),
        ("tool: github__*", Pattern("tool", "github__*")),
        ("extension: github", Pattern("extension", "github")),
        ("write: /data/**", Pattern("write", "/data/**")),
        ("read: ~/x", Pattern("read", "~/x")),
        ('script: "for f in a; do\\n ls; done"', Pattern("script", "for f in a; do\n ls; done")),
    ],
)
def test_a_pattern_is_read_and_written_as_one_line(line: str, pattern: Pattern) -> None:
    assert parse_pattern(f"  {line} ") == pattern
    assert parse_pattern(str(pattern)) == pattern


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "names no program"),
        ("*", "names no program"),
        ("* x", "names no program"),
        ("echo 'x", "not closed"),
        ("tool:", "says nothing after the colon"),
        ("script: ls", "JSON string"),
        ("script: 5", "JSON string"),
        ("write: relative/x", "must begin with"),
    ],
)
def test_a_wrong_pattern_says_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_pattern(line)


@pytest.mark.parametrize(
    ("line", "words", "match"),
    [
        ("git log *", ("git", "log"), "yes"),
        ("git log *", ("git", "log", "-p"), "yes"),
        ("git log *", ("git", "logout"), "no"),
        ("git log *", ("git",), "no"),
        ("git log", ("git", "log", "-p"), "no"),
        ("git push *", ("git", None), "maybe"),
        ("git push *", (None, "push", "x"), "maybe"),
        ("git push *", (None, "pull"), "no"),
        ("tool: git", ("git",), "no"),
    ],
)
def test_a_command_pattern_matches_whole_words_from_the_beginning(line: str, words: tuple[str | None, ...], match: str) -> None:
    assert parse_pattern(line).matches_command(words) == match


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/data/**", "/data", True),
        ("/data/**", "/data/a/b", True),
        ("/data/**", "/database", False),
        ("/data/*", "/data/a", True),
        ("/data/*", "/data/a/b", False),
        ("/data/?.txt", "/data/a.txt", True),
        ("/data/?.txt", "/data//.txt", False),
        ("**/.env", "/w/a/.env", True),
        ("**/.env", "/w/a.env", False),
        ("/w/**/x", "/w/x", True),
        ("/w/**/x", "/w/a/b/x", True),
        ("/w/a**", "/w/ab/c", True),
        ("/w/[a]", "/w/a", False),
        ("/w/(.+", "/w/(.+", True),
    ],
)
def test_path_patterns_keep_to_components(pattern: str, path: str, matches: bool) -> None:
    assert Pattern("write", pattern).matches_path(path) is matches


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("npm", "test", "--x"), "npm test *"),
        (("npm", "run", "build", "--x"), "npm run build *"),
        (("npm", "run"), "npm run"),
        (("npm", "--version"), "npm --version"),
        (("pytest", "-q"), "pytest *"),
        (("git", "push", "origin"), "git push *"),
        (("git", "-C", "x", "log"), "git -C x log"),
        (("unheard-of", "a b"), "unheard-of 'a b'"),
        (("python", "x.py"), "python x.py"),
    ],
)
def test_what_is_offered_says_what_the_command_does_and_no_more(argv: tuple[str, ...], line: str) -> None:
    assert str(suggest(argv)) == line
    assert suggest(argv).matches_command(argv) == "yes"


def one(**fields: object) -> Rule:
    (rule,) = parse_rule(fields)
    return rule


def test_what_forbids_covers_further_arguments_and_what_allows_does_not() -> None:
    assert one(verdict="deny", pattern="curl").matches_command(("curl", "x")) == "yes"
    assert one(verdict="ask", pattern="curl").matches_command(("curl", "x")) == "yes"
    assert one(verdict="allow", pattern="curl").matches_command(("curl", "x")) == "no"


@pytest.mark.parametrize("path", ["app/[id]/page.tsx", "app/[id]/[[...slug]]/page.tsx"])
def test_brackets_in_a_pattern_stand_for_themselves(path: str) -> None:
    rule = one(verdict="deny", pattern="tool: *", arguments={"path": "app/[id]/*"})
    assert rule.matches_tool("write", "developer", {"path": path})
    assert not rule.matches_tool("write", "developer", {"path": path.replace("[id]", "i")})
    assert one(verdict="deny", pattern="cat *", arguments=["app/[id]/*"]).matches_command(("cat", path)) == "yes"
    assert one(verdict="deny", pattern="tool: a[b]*").matches_tool("a[b]c", "", {})
    assert one(verdict="deny", pattern="tool: *", extension="x[y]").applies_to("write", "x[y]")


def test_arguments_limit_a_command_rule() -> None:
    rule = one(verdict="deny", pattern="git push *", arguments=["--force*", "-f"])
    assert rule.matches_command(("git", "push", "--force-with-lease")) == "yes"
    assert rule.matches_command(("git", "push", "origin", "-f")) == "yes"
    assert rule.matches_command(("git", "push", "origin")) == "no"
    assert rule.matches_command(("git", "push", None)) == "maybe"
    assert rule.matches_command(("git", "pull", "-f")) == "no"


def test_arguments_limit_a_tool_rule() -> None:
    rule = one(verdict="deny", pattern="tool: github__merge", arguments={"branch": "main", "n": "5"})
    assert rule.matches_tool("github__merge", "github", {"branch": "main", "n": 5})
    assert not rule.matches_tool("github__merge", "github", {"branch": "dev", "n": 5})
    assert not rule.matches_tool("github__merge", "github", {})
    assert not rule.matches_tool("github__close", "github", {"branch": "main", "n": 5})
    assert one(verdict="deny", pattern="extension: git*").matches_tool("x", "github", {})
    assert not one(verdict="deny", pattern="ls").matches_tool("ls", "", {})


def test_a_right_to_write_is_one_to_read_and_a_secret_is_not_written_either() -> None:
    allowed, denied = one(verdict="allow", pattern="write: /d/**"), one(verdict="deny", pattern="read: /d/**")
    assert allowed.matches_path("/d/x", writes=True) and allowed.matches_path("/d/x", writes=False)
    assert denied.matches_path("/d/x", writes=True) and denied.matches_path("/d/x", writes=False)
    assert not one(verdict="allow", pattern="read: /d/**").matches_path("/d/x", writes=True)
    assert not one(verdict="deny", pattern="write: /d/**").matches_path("/d/x", writes=False)
    assert not one(verdict="deny", pattern="ls").matches_path("/d/x", writes=False)


def test_a_rule_is_limited_to_a_tool_or_an_extension() -> None:
    rule = one(verdict="deny", pattern="curl", tool="*__shell", extension="developer")
    assert rule.applies_to("developer__shell", "developer")
    assert not rule.applies_to("developer__run", "developer")
    assert not rule.applies_to("other__shell", "other")


def test_home_is_put_in_and_several_patterns_make_several_rules() -> None:
    rules = parse_rule({"verdict": "ask", "pattern": ["read: ~/x/**", "ls"]}, home="/home/u")
    assert [str(rule.pattern) for rule in rules] == ["read: /home/u/x/**", "ls"]


@pytest.mark.parametrize(
    "fields",
    [
        {"pattern": "git push *", "arguments": ["-f"], "match": ["git push -f", "ls; git push x -f"], "not_match": "git push"},
        {"pattern": "curl", "match": ["echo $(curl x)", "curl"], "not_match": ["echo curl", "curl2 x"]},
        {"pattern": "tool: a__*", "match": "a__b", "not_match": "b__a"},
        {"pattern": "extension: a", "match": "a", "not_match": "b"},
        {"pattern": "read: **/.env", "match": "/w/.env", "not_match": "/w/env"},
        {"pattern": "write: /w/**", "match": "/w/x", "not_match": "/x"},
        {"pattern": 'script: "a | b"', "match": "a | b", "not_match": "a"},
    ],
)
def test_examples_that_hold_are_accepted(fields: dict[str, object]) -> None:
    assert parse_rule({"verdict": "deny", **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"verdict": "deny", "pattern": "git push", "match": ["git pull"]},
            r"config.toml:3: This rule should match 'git pull'",
        ),
        ({"verdict": "deny", "pattern": "git push", "not_match": ["git push x"]}, "should not match 'git push x' and does"),
        ({"verdict": "allow", "pattern": "git push", "match": ["git push x"]}, "should match 'git push x' and does not"),
        ({"verdict": "no", "pattern": "ls"}, "allow, ask or deny, not 'no'"),
        ({"verdict": "deny"}, "needs a pattern"),
        ({"verdict": "deny", "pattern": 5}, "text or a list of texts, not 5"),
        ({"verdict": "deny", "pattern": [5]}, "text or a list of texts"),
        ({"verdict": "deny", "pattern": "ls", "reason": 5}, "“reason” of a rule is a text, not 5"),
        ({"verdict": "deny", "pattern": "ls", "mach": "x"}, "no field “mach”"),
        ({"verdict": "deny", "pattern": "tool: x", "arguments": ["-f"]}, "belongs to a command"),
        ({"verdict": "deny", "pattern": "ls", "arguments": {"a": "b"}}, "belongs to a tool"),
        ({"verdict": "deny", "pattern": "read: ./x"}, "a rule holds in every repository"),
        ({"verdict": "deny", "pattern": "ls", "match": "x" * 100_000}, "too long"),
    ],
)
def test_a_wrong_rule_says_where_and_what(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_rule(fields, "config.toml:3")
    assert str(caught.value).startswith("config.toml:3: ")


def test_a_rule_without_a_place_says_only_what() -> None:
    with pytest.raises(UserError, match=r"^A rule needs a pattern"):
        parse_rule({"verdict": "deny"})


def test_the_strictest_rule_wins_and_certainty_breaks_ties() -> None:
    allow, deny = one(verdict="allow", pattern="a"), one(verdict="deny", pattern="a")
    assert strictest([Found(allow), Found(deny, certain=False), Found(deny)]) == Found(deny)
    assert strictest([]) is None


def test_the_strictest_part_decides_and_every_asking_part_offers_its_grant() -> None:
    ask = Part("b", "ask", "why b", "b *")
    parts = [Part("a", "allow", "fine"), ask, Part("c", "ask", "why c", "c"), Part("b", "ask", "again", "b *")]
    decision = combine(parts)
    assert (decision.verdict, decision.reason, decision.cause) == ("ask", "why b", "b")
    assert decision.patterns == ("b *", "c")
    assert combine([*parts, Part("d", "ask", "never granted")]).patterns == ()
    assert combine([*parts, Part("d", "deny", "no")]).cause == "d"
    destructive = combine([ask, Part("e", "ask", "loses work", destructive=True)])
    assert (destructive.cause, destructive.snapshot_first) == ("e", True)
    with pytest.raises(ValueError):
        combine([])
