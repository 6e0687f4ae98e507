"""Servers that are missing, slow, deaf, noisy, huge or dying: the session goes on, and says what happened."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from servers.toolboxes import BAD, PATIENCE, Watched, alive, bad, words

from goose_py.toolbox import Places, ProcessRecord, Stdio

# R19: it cannot be started


@pytest.mark.case("R19")
async def test_a_server_that_cannot_start_is_told_with_its_reason_and_the_others_work(tmp_path: Path) -> None:
    plain = tmp_path / "not-executable"
    plain.write_text("#!/bin/sh\n")
    missing_folder = Stdio(name="folder", cmd="true", cwd="nowhere")
    extensions = [
        Stdio(name="missing", cmd="no-such-command-anywhere"),
        Stdio(name="absent", cmd=str(tmp_path / "absent")),
        Stdio(name="plain", cmd=str(plain)),
        Stdio(name="true", cmd="true"),
        missing_folder,
        bad("exits"),
        bad("tty"),
        bad(),
    ]
    async with Watched(extensions, tmp_path) as watched:
        names = await watched.settled()
        assert await watched.text("good__echo", text="I live") == "I live"
        details = {change.extension: change.detail for change in watched.changes if change.state == "failed"}
    assert {name.partition("__")[0] for name in names} == {"good"}
    assert details == {
        "missing": "its program 'no-such-command-anywhere' is not in PATH: install it, or give the whole path as its cmd",
        "absent": f"its program {tmp_path / 'absent'} does not exist: install it, or correct the extension's cmd",
        "plain": f"its program {plain} cannot be run: `chmod +x` it, or correct the extension's cmd",
        "true": "the server exited with code 0",
        "folder": f"its folder {tmp_path / 'nowhere'} does not exist",
        "exits": "the server exited with code 3\ncannot open the database: no such file",
        "tty": details["tty"],
    }
    assert details["tty"].startswith("the server exited with code 1\nthis server must be run in a terminal: ")


async def test_a_server_that_could_not_start_is_started_again_when_it_is_asked_for(tmp_path: Path) -> None:
    async with Watched([bad("crashes", tmp_path / "ran")], tmp_path) as watched:
        (tmp_path / "ran").write_text("crash_at_start")
        await watched.state("crashes", "failed")
        (tmp_path / "ran").unlink()
        watched.toolbox.restart("crashes")
        await watched.state("crashes", "ready")
        assert await watched.text("crashes__echo", text="again") == "again"


async def test_a_server_that_runs_is_restarted_when_asked(tmp_path: Path) -> None:
    async with Watched([bad()], tmp_path) as watched:
        await watched.settled()
        pid = await watched.text("good__pid")
        watched.toolbox.restart("good")
        await watched.state("good", "restarted")
        assert await watched.text("good__pid") != pid
        assert watched.changes[-2].detail == "it is restarted as asked; it is started again (1 of 3)"


# R20: it is slow to start


@pytest.mark.case("R20")
async def test_slow_servers_start_side_by_side_and_do_not_hold_up_the_session(tmp_path: Path) -> None:
    gates = [tmp_path / f"gate{number}" for number in range(5)]
    extensions = [bad("slow-start", gate, name=f"slow{number}") for number, gate in enumerate(gates)]
    async with Watched([*extensions, bad("silent", startup_timeout=0.5), bad()], tmp_path) as watched:
        await watched.state("good", "ready")
        names = await watched.settled(0)
        assert "good__echo" in names
        assert await watched.text("good__echo", text="meanwhile") == "meanwhile"

        assert (await watched.state("silent", "failed")).detail == "the server did not answer within 0.5 s"

        gates[0].touch()
        late = await watched.state("slow0", "ready")
        assert late.late
        assert late.tools == 6
        assert "slow1" not in {change.extension for change in watched.changes}

        assert [spec.name for spec in watched.toolbox.specs()] == names, "the prefix stays what it was"
        assert "tool_search" in names, "what comes late can be found"
        assert "## slow0__echo" in await watched.text("tool_search", query="slow0")
        assert await watched.text("use_tool", name="slow0__echo", arguments={"text": "late"}) == "late"

        waiting = await watched.call("use_tool", name="slow1__echo", arguments={"text": "x"})
        assert waiting.is_error
        assert "The extension slow1 is still starting." in words(waiting)


async def test_settling_waits_for_servers_no_longer_than_it_is_told(tmp_path: Path) -> None:
    async with Watched([bad("silent")], tmp_path) as watched:
        async with asyncio.timeout(PATIENCE):
            assert await watched.settled(0.05) == ["tool_search", "use_tool"]


async def test_a_session_is_closed_while_its_servers_are_still_starting(tmp_path: Path) -> None:
    records: list[tuple[ProcessRecord, bool]] = []
    running = asyncio.Semaphore(0)

    def on_process(record: ProcessRecord, alive: bool) -> None:
        records.append((record, alive))
        running.release()

    async with Watched([bad("silent", name=f"s{n}") for n in range(3)], tmp_path, host={"on_process": on_process}):
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                await running.acquire()
    assert sorted(alive for _, alive in records) == [False] * 3 + [True] * 3
    assert not any(alive(record.pid) for record, _ in records)


# R21: a call is never answered


@pytest.mark.case("R21")
async def test_a_call_without_an_answer_ends_in_an_error_and_the_server_goes_on(tmp_path: Path) -> None:
    async with Watched([bad("hangs", timeout=0.3)], tmp_path) as watched:
        await watched.settled()
        pid = await watched.text("hangs__pid")
        result = await watched.call("hangs__hang")
        assert result.is_error
        assert words(result) == (
            "hangs__hang gave no sign of life for 0.3 s and was told to stop. What it had done by then is not known."
        )
        assert len(json.loads(await watched.text("hangs__cancelled"))) == 1, "the server is told that nobody waits any more"
        assert await watched.text("hangs__pid") == pid, "the server was not restarted"


@pytest.mark.case("R21")
async def test_a_server_that_went_deaf_is_started_again(tmp_path: Path) -> None:
    async with Watched([bad("hangs", "deaf", timeout=0.3)], tmp_path, probe_timeout=0.3) as watched:
        await watched.settled()
        pid = await watched.text("hangs__pid")
        assert (await watched.call("hangs__hang")).is_error
        restarted = await watched.state("hangs", "restarted")
        assert restarted.tools == 8
        assert "did not list its tools within 0.3 s; it is started again (1 of 3)" in watched.changes[-2].detail
        assert await watched.text("hangs__pid") != pid


async def test_progress_is_a_sign_of_life(tmp_path: Path) -> None:
    said: list[str] = []
    async with Watched([bad(timeout=0.5)], tmp_path) as watched:
        await watched.settled()
        result = await watched.call("good__steps", said.append, count=8, pause=0.12)
    assert not result.is_error, "eight pauses are longer than the timeout, each of them is shorter"
    assert said == [f"step {number}\n" for number in range(1, 9)]


async def test_progress_alone_does_not_keep_a_call_alive_for_ever(tmp_path: Path) -> None:
    async with Watched([bad(timeout=0.1)], tmp_path) as watched:
        await watched.settled()
        assert (await watched.call("good__steps", count=100_000, pause=0.02)).is_error


async def test_cancelling_a_call_tells_the_server_and_harms_no_other_call(tmp_path: Path) -> None:
    async with Watched([bad("hangs")], tmp_path) as watched:
        await watched.settled()
        hanging = asyncio.create_task(watched.call("hangs__hang"))
        assert await watched.text("hangs__echo", text="meanwhile") == "meanwhile"
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        assert len(json.loads(await watched.text("hangs__cancelled"))) == 1
        assert await watched.text("hangs__echo", text="after") == "after"


# R22: noise


@pytest.mark.case("R22")
async def test_noise_is_logged_and_reaches_neither_the_session_nor_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    places = Places(logs=tmp_path / "logs")
    async with Watched([bad("noisy")], tmp_path, places=places) as watched:
        assert "noisy__echo" in await watched.settled()
        assert await watched.text("noisy__echo", text="clear") == "clear"
        assert await watched.text("noisy__echo", text="latin-1") == "caf\ufffd"
        assert await watched.text("noisy__echo", text="still clear") == "still clear"
    assert capfd.readouterr() == ("", "")
    log = (tmp_path / "logs" / "noisy.log").read_bytes()
    for said in (b"=== Welcome", b"{not json}", b"\xff\xfe caf\xe9", b"warming up", b"debug: about to answer"):
        assert said in log


async def test_a_server_that_floods_its_stderr_is_not_blocked_by_it(tmp_path: Path) -> None:
    async with Watched([bad("chatty")], tmp_path, places=Places(logs=tmp_path / "logs")) as watched:
        await watched.settled()
        assert await watched.text("chatty__echo", text="done") == "done"
    assert sum(path.stat().st_size for path in (tmp_path / "logs").iterdir()) <= 2_000_000


@pytest.mark.case("R22")
def test_a_whole_program_with_broken_servers_prints_nothing_of_theirs(tmp_path: Path) -> None:
    """Also none of the SDK's warnings, where nobody has configured logging."""
    program = f"""
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {str(BAD.parent.parent)!r})
from servers.toolboxes import Watched, bad
async def main():
    extensions = [bad("noisy"), bad("exits"), bad("giant"), bad("crashes", {str(tmp_path / "ran")!r})]
    async with Watched(extensions, Path({str(tmp_path)!r})) as watched:
        await watched.settled()
        for tool, arguments in (("noisy__echo", {{"text": "latin-1"}}), ("crashes__crash", {{}}), ("giant__line", {{}})):
            await watched.call(tool, **arguments)
asyncio.run(main())
print("the end")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE * 2)
    assert (ran.stdout, ran.stderr) == ("the end\n", "")


# R23: too much


class Peak:
    """How much this process's memory grows at most while the block runs, in kilobytes (proc(5): clear_refs, VmHWM)."""

    grown = 0

    def __enter__(self) -> "Peak":
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._field("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.grown = self._field("VmHWM") - self._before

    def _field(self, name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


@pytest.mark.case("R23")
@pytest.mark.parametrize("tool", ["text", "late_id"])
async def test_a_giant_result_is_cut_with_a_note_and_not_held_in_memory(tmp_path: Path, tool: str) -> None:
    async with Watched([bad("giant")], tmp_path) as watched:
        await watched.settled()
        await watched.text("giant__echo", text="warm")
        with Peak() as peak:
            result = await watched.call(f"giant__{tool}", megabytes=50)
        assert await watched.text("giant__echo", text="after") == "after"
    assert result.is_error
    shown = words(result)
    assert shown.startswith("0123456789abcde\n0123456789abcde\n")
    assert shown.endswith("only the first 16,000 characters are shown. Ask it for less. …]")
    assert len(shown) < 17_000
    assert peak.grown < 60_000, "R23 allows 200 MB"


@pytest.mark.case("R23")
async def test_200_megabytes_without_a_newline_are_read_past(tmp_path: Path) -> None:
    async with Watched([bad("giant")], tmp_path) as watched:
        await watched.settled()
        with Peak() as peak:
            assert await watched.text("giant__line") == "after the line"
    assert peak.grown < 60_000


@pytest.mark.case("R23")
async def test_ten_thousand_items_are_one_bounded_text_with_the_whole_in_a_file(tmp_path: Path) -> None:
    async with Watched([bad("giant")], tmp_path, places=Places(results=tmp_path / "results")) as watched:
        await watched.settled()
        with Peak() as peak:
            shown = await watched.text("giant__items")
    assert peak.grown < 60_000
    assert shown.startswith("item 0\nitem 1\n")
    assert shown.endswith("\nitem 9999")
    assert len(shown) < 33_000
    whole = next((tmp_path / "results").iterdir())
    assert str(whole) in shown
    assert whole.read_text() == "\n".join(f"item {number}" for number in range(10_000))


async def test_a_result_just_within_the_bound_is_read_whole(tmp_path: Path) -> None:
    async with Watched([bad("giant")], tmp_path, places=Places(results=tmp_path / "results")) as watched:
        await watched.settled()
        await watched.text("giant__text", megabytes=7)
    assert next((tmp_path / "results").iterdir()).stat().st_size == 7 * 1_048_576


# R24: it dies in the middle of a call


@pytest.mark.case("R24")
async def test_a_crash_in_a_call_is_an_error_and_the_call_is_not_repeated(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    async with Watched([bad("crashes", ran)], tmp_path) as watched:
        names = await watched.settled()
        result = await watched.call("crashes__crash")
        assert result.is_error
        assert words(result) == (
            "crashes__crash was interrupted: the server was killed by SIGKILL. Whether it took effect is not known, and it "
            "was not sent again: look before you repeat it. The extension 'crashes' is started again."
        )
        down = await watched.state("crashes", "failed")
        assert down.detail == ("the server was killed by SIGKILL; it is started again (1 of 3)\nsegmentation fault, goodbye")
        assert (await watched.state("crashes", "restarted")).tools == 7
        assert await watched.text("crashes__echo", text="back") == "back"
        assert [spec.name for spec in watched.toolbox.specs()] == names
    assert ran.read_text() == "ran\n", "the call ran once"


@pytest.mark.case("R24")
async def test_a_server_that_keeps_dying_is_started_three_times_and_then_left_alone(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    async with Watched([bad("crashes", ran)], tmp_path) as watched:
        await watched.settled()
        pid = int(await watched.text("crashes__pid"))
        ran.write_text("crash_at_start")
        os.kill(pid, signal.SIGKILL)
        last = await watched.told(lambda change: change.state == "failed" and "started again" not in change.detail)
        assert last.detail == "the server exited with code 4\nthe index is broken"
        told = [change.detail.splitlines()[0] for change in watched.changes if change.state == "failed"]
        assert told == [
            "the server was killed by SIGKILL; it is started again (1 of 3)",
            "the server exited with code 4; it is started again (2 of 3)",
            "the server exited with code 4; it is started again (3 of 3)",
            "the server exited with code 4",
        ]
        result = await watched.call("crashes__echo", text="x")
        assert result.is_error
        assert "crashes__echo was not run: the extension 'crashes' is not available: the server exited with code 4" in words(
            result
        )
        assert watched.changes[-1] is last, "a call does not start it again"

        ran.unlink()
        watched.toolbox.restart("crashes")
        await watched.state("crashes", "restarted")
        assert await watched.text("crashes__echo", text="mended") == "mended"


@pytest.mark.case("R24")
async def test_after_a_crash_the_tools_are_listed_and_pinned_again(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    async with Watched([bad("crashes", ran)], tmp_path) as watched:
        await watched.settled()
        pid = int(await watched.text("crashes__pid"))
        ran.write_text("changes")
        os.kill(pid, signal.SIGKILL)
        restarted = await watched.state("crashes", "restarted")
        assert [str(change) for change in restarted.changes] == ["echo changed", "fresh added"]
        refused = await watched.call("crashes__echo", text="x")
        assert refused.is_error
        assert "withheld until the user approves the change" in words(refused)
        assert await watched.text("crashes__pid") != str(pid)


# The end


@pytest.mark.parametrize("behaviour", ["stubborn", "good", "hangs"])
async def test_no_process_outlives_the_session_whatever_it_ignores(tmp_path: Path, behaviour: str) -> None:
    records: list[tuple[ProcessRecord, bool]] = []
    host = {"on_process": lambda record, alive: records.append((record, alive))}
    async with Watched([bad(behaviour)], tmp_path, host=host) as watched:
        await watched.settled()
        pids = [int(pid) for pid in (await watched.text(f"{behaviour}__pid")).split()]
        assert all(map(alive, pids))
        assert os.getsid(pids[0]) == pids[0], "it has a session of its own, and so no terminal"
        began = time.monotonic()
    assert not any(map(alive, pids))
    assert time.monotonic() - began < PATIENCE
    assert [(record.pid, alive) for record, alive in records] == [(pids[0], True), (pids[0], False)]


async def test_cancelling_the_owner_of_a_toolbox_leaves_no_process_behind(tmp_path: Path) -> None:
    records: list[ProcessRecord] = []
    up = asyncio.Event()

    async def session() -> None:
        host = {"on_process": lambda record, alive: records.append(record)}
        async with Watched([bad("stubborn"), bad()], tmp_path, host=host) as watched:
            await watched.settled()
            up.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(session())
    await asyncio.wait_for(up.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(record.pid) for record in records)
