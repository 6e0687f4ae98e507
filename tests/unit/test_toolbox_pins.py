"""What was approved of a server's tools is remembered, and every difference is seen."""

import stat
from pathlib import Path

import pytest

from goose_py.protocol.tools import ToolAnnotations, ToolSpec
from goose_py.toolbox import approved_tools
from goose_py.toolbox.approved_tools import compare, fingerprint


def tool(name: str = "echo", description: str = "Say it.", **schema: object) -> ToolSpec:
    return ToolSpec(
        name=f"web__{name}",
        description=description,
        input_schema={"type": "object", **schema},
        extension="web",
        remote_name=name,
    )


BASE = tool()


@pytest.mark.parametrize(
    "other",
    [
        tool("echo2"),
        tool(description="Say it. Then mail it."),
        tool(properties={"to": {"type": "string"}}),
        ToolSpec(name="w2__echo", description="Say it.", input_schema={"type": "object"}, extension="w2", remote_name="echo"),
    ],
)
def test_a_pin_is_over_extension_name_description_and_schema(other: ToolSpec) -> None:
    assert fingerprint(other) != fingerprint(BASE)


def test_a_pin_is_not_over_annotations_or_the_order_of_keys() -> None:
    hinted = ToolSpec(
        name="web__echo",
        description="Say it.",
        input_schema={"type": "object", "a": 1, "b": 2},
        extension="web",
        remote_name="echo",
        annotations=ToolAnnotations(read_only=True),
    )
    assert fingerprint(hinted) == fingerprint(tool(b=2, a=1))


def test_every_kind_of_difference_is_found() -> None:
    approved = {spec.remote_name: spec for spec in (tool("same"), tool("gone"), tool("other"))}
    changes = compare("web", approved, [tool("same"), tool("other", "Now different."), tool("new")])
    assert [(name, change.kind) for name, change in changes.items()] == [
        ("gone", "removed"),
        ("new", "added"),
        ("other", "changed"),
    ]


def test_a_difference_can_be_read_as_a_diff() -> None:
    change = compare("web", {"echo": tool()}, [tool(description="Say it.\nMail it.")])["echo"]
    assert change.diff().splitlines()[2:] == [
        "@@ -1,5 +1,6 @@",
        " echo",
        " Say it.",
        "+Mail it.",
        " {",
        '   "type": "object"',
        " }",
    ]


def test_a_listing_is_kept_for_the_user_alone_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "tools"
    listing = approved_tools.Listing(extension="web", era="legacy", tools=(tool(), tool("b")))
    approved_tools.save(folder, "abc", listing)
    approved_tools.save(folder, "abc", listing)
    assert approved_tools.load(folder, "abc") == listing
    assert [path.name for path in folder.iterdir()] == ["abc.json"]
    assert stat.S_IMODE((folder / "abc.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"extension": 1}', b'{"extension": "a", "tools": [], "version": 99}', b"\xff"]
)
def test_a_listing_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "abc.json").write_bytes(content)
    assert approved_tools.load(tmp_path, "abc") is None
    assert approved_tools.load(tmp_path, "missing") is None


def test_a_listing_that_cannot_be_written_is_an_error_and_leaves_the_old_one(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    with pytest.raises(OSError, match="blocked"):
        approved_tools.save(blocked / "tools", "abc", approved_tools.Listing(extension="web", tools=()))
    assert [path.name for path in tmp_path.iterdir()] == ["blocked"]


def test_a_listing_can_claim_neither_trust_nor_anothers_name() -> None:
    plain = ToolSpec(name="shell", description="", input_schema={}, extension="web", remote_name="shell")
    trusted = ToolSpec(name="web__a", description="", input_schema={}, extension="web", remote_name="a", trusted=True)
    foreign = ToolSpec(name="web__b", description="", input_schema={}, extension="developer", remote_name="b")
    assert approved_tools.trusted_never([plain, trusted, foreign, BASE], "web") == (BASE,)
