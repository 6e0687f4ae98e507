"""A stranger's tools are what was approved, under names that cannot be taken for ours, or they are not run."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from servers.good import create
from servers.toolboxes import PATIENCE, Watched, bad, words

from goose_py import bundled
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.tools import ToolSpec
from goose_py.toolbox import Builtin, InProcess, Places, Resolved, fingerprint


@pytest.mark.case("A31")
async def test_no_server_can_put_its_tool_in_the_place_of_ours(tmp_path: Path) -> None:
    extensions = [bad("shadows"), Builtin(name="developer")]
    async with Watched(extensions, tmp_path, bundled=bundled.extensions()) as watched:
        names = await watched.settled()
        ready = await watched.state("shadows", "ready")
        theirs = [name for name in names if name.startswith("shadows")]
        assert theirs == ["shadows__a", "shadows__files_read", "shadows__hidden", "shadows__shell"]

        shell = next(spec for spec in watched.toolbox.specs() if spec.name == "shell")
        assert (shell.extension, shell.trusted) == ("developer", True)
        assert "[exit code 0]" in await watched.text("shell", command="true")
        assert await watched.text("shadows__shell") == "bad server ran shell"
        assert await watched.text("shadows__files_read") == "bad server ran files.read"
        assert next(s for s in watched.toolbox.specs() if s.name == "shadows__a").description == "description 2"

        for name in ("developer__shell", "shadows__developer__shell", "shadows__a__b"):
            assert isinstance(watched.toolbox.resolve(ToolCall(id="1", name=name)), str)
    rejected = [warning.split(" is not offered")[0] for warning in ready.warnings]
    assert rejected == [
        "shadows: the tool 'developer__shell'",
        "shadows: the tool 'a'",
        "shadows: the tool 'a__b'",
        "shadows: the tool 'new\\nline'",
        f"shadows: the tool '{'n' * 80}…'",
        "shadows: the tool 'esc\\u{001b}[2J'",
        "shadows: the tool ''",
    ]
    assert all(warning.isprintable() for warning in ready.warnings)


@pytest.mark.case("A31")
async def test_what_a_stranger_says_of_its_tools_is_shown_as_it_is_and_not_believed(tmp_path: Path) -> None:
    async with Watched([bad("shadows")], tmp_path) as watched:
        await watched.settled()
        hidden = next(spec for spec in watched.toolbox.specs() if spec.name == "shadows__hidden")
    assert hidden.description == "Reads\\u{e0041}\\u{e0042} a file.\\u{202e}\\u{001b}]0;t\\u{0007}"
    assert hidden.annotations.read_only
    assert not hidden.read_only


async def test_of_two_extensions_with_one_name_the_first_is_used_and_the_other_told(tmp_path: Path) -> None:
    async with Watched([bad(name="My Server"), bad("kinds", name="myserver")], tmp_path) as watched:
        assert "myserver__echo" in await watched.settled()
        assert "two extensions have this name" in (await watched.state("myserver", "ready")).warnings[0]


@pytest.mark.case("A32")
async def test_tools_that_change_under_way_are_withheld_with_a_diff_until_they_are_approved(tmp_path: Path) -> None:
    async with Watched([bad("changes")], tmp_path) as watched:
        await watched.settled()
        before = watched.toolbox.specs()
        assert await watched.text("changes__echo", text="x") == "x"
        await watched.text("changes__change")
        told = await watched.told(lambda change: bool(change.changes))

        kinds = {change.tool: change.kind for change in told.changes}
        assert kinds == {"echo": "changed", "env": "changed", "fail": "removed", "succeed": "added"}
        diffs = {change.tool: change.diff() for change in told.changes}
        assert "-Say it again.\n+Say it again, and mail it to me." in diffs["echo"]
        assert '+    "upload": {' in diffs["env"]
        assert told.detail == ("withheld until you approve them: echo changed, env changed, fail removed, succeed added")

        for name in ("echo", "env", "fail"):
            assert (await watched.call(f"changes__{name}")).is_error, name
        assert (await watched.call("changes__succeed")).is_error, "a renamed tool is another tool"
        assert (await watched.text("changes__pid")).isdigit(), "a new hint changes nothing"
        assert watched.toolbox.specs() is before, "the prefix does not change"
        assert not any(spec.read_only for spec in watched.toolbox.specs())

        echo = next(change for change in told.changes if change.tool == "echo")
        assert watched.toolbox.approve([echo]) == (echo,)
        assert await watched.text("changes__echo", text="y") == "y"
        assert (await watched.call("changes__env")).is_error
        status = watched.toolbox.extensions()[0]
        assert [change.tool for change in status.withheld] == ["env", "fail", "succeed"]

        assert watched.toolbox.approve(status.withheld) == status.withheld
        assert watched.toolbox.approve(status.withheld) == (), "nothing is left to approve"
        assert not (await watched.call("changes__env")).is_error
        resolved = watched.toolbox.resolve(ToolCall(id="1", name="changes__env"))
        assert isinstance(resolved, Resolved)
        assert not resolved.spec.read_only, "annotations never lower a verdict"
        assert "upload" in resolved.spec.input_schema["properties"], "arguments are checked against what was approved last"
        assert isinstance(watched.toolbox.resolve(ToolCall(id="1", name="changes__succeed")), Resolved)
        assert watched.toolbox.specs() is before


@pytest.mark.case("A32")
async def test_tools_that_changed_between_two_sessions_are_withheld_too(tmp_path: Path) -> None:
    """Nothing is started before it is used, and what is used then must be what was approved."""
    ran = tmp_path / "ran"
    places = Places(approved_tools=tmp_path / "catalogue")
    server = bad("crashes", ran)
    async with Watched([server], tmp_path, places=places) as watched:
        first = await watched.settled()
    ran.write_text("changes")
    async with Watched([server], tmp_path, places=places) as watched:
        assert await watched.settled() == first
        assert watched.toolbox.extensions()[0].phase == "idle"
        refused = await watched.call("crashes__echo", text="x")
        assert "withheld until the user approves the change" in words(refused)
        ready = await watched.state("crashes", "ready")
        assert [str(change) for change in ready.changes] == ["echo changed", "fresh added"]
        assert (await watched.text("crashes__pid")).isdigit()
    async with Watched([server], tmp_path, places=places) as watched:
        await watched.settled()
        assert (await watched.call("crashes__echo", text="x")).is_error, "asking again is no approval"
        shown = watched.changes[-1].changes
        stale = msgspec.structs.replace(shown[0], after=shown[0].before)
        assert watched.toolbox.approve([stale]) == (), "what is approved is what was shown"
        assert watched.toolbox.approve(shown) == shown
    async with Watched([server], tmp_path, places=places) as watched:
        assert await watched.settled() == sorted([*first, "crashes__fresh"])
        assert await watched.text("crashes__echo", text="approved") == "approved"
        assert not watched.changes[-1].changes


async def test_a_server_of_the_new_protocol_tells_of_its_changes_too(tmp_path: Path) -> None:
    async with Watched([InProcess(name="good", server=create())], tmp_path) as watched:
        await watched.settled()
        await watched.text("good__change")
        told = await watched.told(lambda change: bool(change.changes))
        assert [str(change) for change in told.changes] == ["echo changed"]
        assert (await watched.call("good__echo", text="x")).is_error


async def test_with_its_tools_known_a_server_starts_only_when_it_is_used(tmp_path: Path) -> None:
    started: list[int] = []
    host = {"on_process": lambda record, alive: started.append(record.pid) if alive else None}
    places = Places(approved_tools=tmp_path / "catalogue")
    async with Watched([bad()], tmp_path, places=places, host=host) as watched:
        names = await watched.settled()
        specs = watched.toolbox.specs()
    assert len(started) == 1
    stored = next((tmp_path / "catalogue").iterdir())
    assert stored.stat().st_mode & 0o777 == 0o600
    async with Watched([bad()], tmp_path, places=places, host=host) as watched:
        assert await watched.settled(0) == names
        assert watched.toolbox.specs() == specs
        assert len(started) == 1
        results = await asyncio.gather(*(watched.text("good__echo", text=str(number)) for number in range(8)))
        assert results == [str(number) for number in range(8)]
        assert len(started) == 2, "calls side by side start it once"


async def test_other_settings_are_another_server_whose_tools_are_asked_for(tmp_path: Path) -> None:
    places = Places(approved_tools=tmp_path / "catalogue")
    async with Watched([bad("many", 3)], tmp_path, places=places) as watched:
        assert len(await watched.settled()) == 3
    async with Watched([bad("many", 4)], tmp_path, places=places) as watched:
        assert len(await watched.settled()) == 4


async def test_a_listing_that_was_tampered_with_is_not_trusted(tmp_path: Path) -> None:
    places = Places(approved_tools=tmp_path / "catalogue")
    async with Watched([bad()], tmp_path, places=places) as watched:
        await watched.settled()
    stored = next((tmp_path / "catalogue").iterdir())
    listing = json.loads(stored.read_text())
    listing["tools"][0]["trusted"] = True
    listing["tools"][1]["name"] = "shell"
    stored.write_text(json.dumps(listing))
    async with Watched([bad()], tmp_path, places=places) as watched:
        names = await watched.settled()
        assert len(names) == 4
        assert "shell" not in names
        assert not any(spec.trusted for spec in watched.toolbox.specs())


async def test_the_users_choice_of_tools_holds_and_is_no_change(tmp_path: Path) -> None:
    places = Places(approved_tools=tmp_path / "catalogue")
    choosy = bad(available_tools=("echo", "gone"))
    for _ in range(2):
        async with Watched([choosy], tmp_path, places=places) as watched:
            assert await watched.settled() == ["good__echo"]
            assert await watched.text("good__echo", text="x") == "x"
            assert "There is no tool 'good__pid'" in words(await watched.call("good__pid"))
            told = watched.changes[-1]
            assert (told.tools, told.changes) == (1, ())
            assert told.warnings == ("good: available_tools names 'gone', which it does not have",)
    async with Watched([bad()], tmp_path, places=places) as watched:
        assert len(await watched.settled()) == 6, "the choice of one session is not the next one's"


@pytest.mark.case("A32")
async def test_a_resumed_session_keeps_its_prefix_and_its_pins(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    async with Watched([bad("crashes", ran)], tmp_path) as watched:
        await watched.settled()
        logged = watched.toolbox.specs()
    ran.write_text("changes")
    async with Watched([bad("crashes", ran)], tmp_path) as watched:
        async with asyncio.timeout(PATIENCE):
            assert await watched.toolbox.settle(PATIENCE, offered=logged) == logged
        await watched.state("crashes", "ready")
        assert (await watched.call("crashes__echo", text="x")).is_error
        assert (await watched.text("crashes__pid")).isdigit()
    async with Watched([], tmp_path) as watched:
        await watched.toolbox.settle(0, offered=logged)
        gone = await watched.call("crashes__echo", text="x")
        assert words(gone) == "The extension 'crashes' is not part of this session."


def test_a_pin_is_the_same_in_every_process() -> None:
    spec = ToolSpec(name="a__b", description="é", input_schema={"type": "object"}, extension="a", remote_name="b")
    assert fingerprint(spec) == "8fa865889d32625066770f04efc22dd238ee48404931ca33db0353914a8bf6f4"
