"""What of a server's tools is offered, and under which names."""

import pytest

from goose_py.protocol.tools import ToolAnnotations
from goose_py.toolbox.names import MAX_NAME, Origin, RemoteTool, admit, not_there, remote_tools, visible
from goose_py.toolbox.spec import normalise


def offered(*names: str, origin: Origin | None = None, taken: tuple[str, ...] = ()) -> tuple[list[str], tuple[str, ...]]:
    specs, warnings = admit(origin or Origin(extension="web"), [RemoteTool(name=name) for name in names], taken)
    return [spec.name for spec in specs], warnings


def test_a_third_party_tool_has_its_extension_in_its_name() -> None:
    assert offered("fetch", "ask") == (["web__ask", "web__fetch"], ())


def test_a_bundled_tool_may_keep_its_plain_name() -> None:
    origin = Origin(extension="developer", trusted=True, plain_names=True)
    assert offered("shell", origin=origin) == (["shell"], ())


@pytest.mark.parametrize("name", ["", "a b", "new\nline", "esc\x1b[2J", "größe", "a__b", "developer__shell", "tab\t", "$x"])
def test_a_name_that_could_deceive_is_rejected_with_a_warning(name: str) -> None:
    names, warnings = offered(name, "good")
    assert names == ["web__good"]
    assert len(warnings) == 1
    assert warnings[0].startswith("web: the tool ")
    assert warnings[0].isprintable()


def test_a_name_too_long_for_the_model_apis_is_rejected() -> None:
    fits = "n" * (MAX_NAME - len("web__"))
    names, warnings = offered(fits, fits + "n", "x" * 300)
    assert names == [f"web__{fits}"]
    assert len(warnings) == 2
    assert max(map(len, warnings)) < 300


def test_of_two_tools_with_one_name_the_first_is_kept() -> None:
    tools = [RemoteTool(name="a", description="first"), RemoteTool(name="a", description="second")]
    specs, warnings = admit(Origin(extension="web"), tools)
    assert [spec.description for spec in specs] == ["first"]
    assert "same name" in warnings[0]


def test_characters_that_mcp_allows_and_models_do_not_are_replaced_and_the_servers_own_name_is_kept() -> None:
    specs, _ = admit(Origin(extension="web"), [RemoteTool(name="files.read")])
    assert (specs[0].name, specs[0].remote_name) == ("web__files_read", "files.read")
    assert offered("files.read", "files/read")[0] == ["web__files_read"]


def test_a_name_that_another_extension_has_is_not_given_again() -> None:
    names, warnings = offered("read", taken=("web__read",))
    assert names == []
    assert "another extension" in warnings[0]


def test_a_tool_that_the_user_wants_and_the_server_lacks_is_told() -> None:
    assert not_there("web", ("b", "c"), [RemoteTool(name="a"), RemoteTool(name="b")]) == (
        "web: available_tools names 'c', which it does not have",
    )


def test_hidden_characters_of_a_stranger_are_made_visible_everywhere_a_person_reads() -> None:
    schema = {
        "type": "object",
        "description": "a\u202eb",
        "properties": {"p": {"type": "string", "title": "t\u200b", "enum": ["\u200b"]}},
    }
    tool = RemoteTool(name="a", description="read\U000e0041 it\x1b[2J\n\tok", input_schema=schema)
    spec = admit(Origin(extension="web"), [tool])[0][0]
    assert spec.description == "read\\u{e0041} it\\u{001b}[2J\n\tok"
    assert spec.input_schema["description"] == "a\\u{202e}b"
    assert spec.input_schema["properties"]["p"] == {"type": "string", "title": "t\\u{200b}", "enum": ["\u200b"]}


def test_ordinary_text_of_any_language_is_left_alone() -> None:
    assert visible("Grüße, 世界! «ok» 🪿\n\tx") == "Grüße, 世界! «ok» 🪿\n\tx"


def test_a_strangers_annotations_never_make_a_tool_read_only() -> None:
    tool = RemoteTool(name="a", annotations=ToolAnnotations(read_only=True, destructive=False))
    stranger = admit(Origin(extension="web"), [tool])[0][0]
    ours = admit(Origin(extension="dev", trusted=True), [tool])[0][0]
    assert not stranger.read_only
    assert ours.read_only


def test_a_listing_in_json_form_is_read_with_mcps_defaults() -> None:
    listed = [
        {"name": "a", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True, "openWorldHint": "yes"}},
        {"name": "b", "description": None},
    ]
    first, second = remote_tools(listed)
    assert first.annotations == ToolAnnotations(read_only=True)
    assert (second.description, second.input_schema, second.annotations) == ("", {}, ToolAnnotations())


@pytest.mark.parametrize("listed", [None, {"a": 1}, [1], [{"description": "x"}], [{"name": "a", "inputSchema": []}]])
def test_what_is_no_list_of_tools_is_refused(listed: object) -> None:
    with pytest.raises(ValueError, match=r"expected a list|has no name|inputSchema"):
        remote_tools(listed)


@pytest.mark.parametrize(
    ("written", "key"),
    [("GitHub", "github"), ("My Server", "myserver"), ("a__b", "a_b"), ("web.search", "web_search"), ("_x_", "x"), ("é", "")],
)
def test_extension_names_become_what_can_stand_in_a_tool_name(written: str, key: str) -> None:
    assert normalise(written) == key
