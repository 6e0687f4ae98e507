"""Which tools are offered within a budget, and how the others are found."""

import json

import pytest

from goose_py.protocol.tools import ToolSpec
from goose_py.toolbox.deferred import SCHEMA_BUDGET, SEARCH, USE, Source, choose, rank, search, tokens


def tool(extension: str, name: str, description: str = "Does it.", size: int = 0) -> ToolSpec:
    return ToolSpec(
        name=f"{extension}__{name}",
        description=description,
        input_schema={"type": "object", "properties": {"a": {"type": "string", "description": "x" * size}}},
        extension=extension,
        remote_name=name,
    )


def source(extension: str, count: int, size: int = 400, description: str = "A server of things.") -> Source:
    tools = tuple(tool(extension, f"tool{n}", size=size) for n in range(count))
    return Source(extension=extension, description=description, tools=tools)


def cost(specs: tuple[ToolSpec, ...]) -> int:
    return sum(map(tokens, specs))


def test_what_fits_the_budget_is_offered_whole_and_without_a_search() -> None:
    sources = [source("a", 3), source("b", 2)]
    assert choose(sources) == (*sources[0].tools, *sources[1].tools)


def test_beyond_the_budget_the_smallest_extensions_are_offered_and_the_search_for_the_rest() -> None:
    offered = choose([source("big", 100), source("small", 2)])
    assert [spec.name for spec in offered] == [SEARCH, USE, "small__tool0", "small__tool1"]
    assert cost(offered) <= SCHEMA_BUDGET


@pytest.mark.parametrize(("extensions", "tools"), [(1, 100), (10, 10), (100, 1), (300, 3), (4, 25)])
@pytest.mark.parametrize("words", ["", "A server of many useful things for everybody, described at length. " * 5])
def test_the_cost_before_use_is_bounded_whatever_there_is(extensions: int, tools: int, words: str) -> None:
    offered = choose([source(f"extension{n:03}", tools, description=words) for n in range(extensions)])
    assert cost(offered) <= SCHEMA_BUDGET
    assert {SEARCH, USE} <= {spec.name for spec in offered}


def test_every_extension_has_its_line_where_there_is_room() -> None:
    offered = choose([source(f"extension{n:02}", 10) for n in range(20)])
    lines = next(spec for spec in offered if spec.name == SEARCH).description.splitlines()[1:]
    assert lines == [f"- extension{n:02}: A server of things." for n in range(20)]


def test_an_extension_that_is_still_starting_makes_the_search_available() -> None:
    small = source("small", 1)
    offered = choose([small, Source(extension="late", description="Comes later.")], pending=True)
    assert [spec.name for spec in offered] == [SEARCH, USE, "small__tool0"]
    assert "- late: Comes later." in offered[0].description


def test_the_choice_is_the_same_every_time() -> None:
    sources = [source(name, 5) for name in ("c", "a", "b", "d", "e")]
    assert choose(sources) == choose(list(sources)) == choose(sources)


GITHUB = [
    tool("github", "create_issue", "Create an issue in a repository."),
    tool("github", "list_pull_requests", "List pull requests of a repository."),
    tool("github", "searchCode", "Find code."),
    tool("mail", "send", "Send a message to a person."),
    tool("mail", "list", "List messages of a folder."),
]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("create an issue", "github__create_issue"),
        ("open pull requests", "github__list_pull_requests"),
        ("code search", "github__searchCode"),
        ("searching", "github__searchCode"),
        ("send mail", "mail__send"),
        ("github__list_pull_requests", "github__list_pull_requests"),
        ("send", "mail__send"),
        ("folder", "mail__list"),
    ],
)
def test_the_tool_that_is_meant_comes_first(query: str, first: str) -> None:
    assert rank(query, GITHUB)[0].name == first


def test_an_extensions_name_finds_all_of_its_tools() -> None:
    assert {spec.name for spec in rank("mail", GITHUB)[:2]} == {"mail__send", "mail__list"}


def test_a_query_that_fits_nothing_is_answered_with_what_there_is() -> None:
    sources = [Source(extension="mail", tools=tuple(GITHUB[3:]))]
    assert search("zebra", sources, {"web": "is still starting"}) == (
        "No tool fits 'zebra'.\nThere are:\n- mail: mail__send, mail__list\nweb: is still starting"
    )


def test_a_match_is_shown_with_its_schema() -> None:
    shown = search("create issue", [Source(extension="github", tools=tuple(GITHUB))])
    name, description, arguments = shown.splitlines()[:3]
    assert name == "## github__create_issue"
    assert description == "Create an issue in a repository."
    assert json.loads(arguments.removeprefix("arguments: ")) == GITHUB[0].input_schema


def test_an_answer_stays_readable_whatever_matches() -> None:
    shown = search("tool3", [source("many", 500, size=5000)])
    assert len(shown) < 20_000
    assert "more: use a narrower query" in search("extension server many does", [source("many", 500)])
    assert len(search("many", [source("many", 500)])) < 20_000
