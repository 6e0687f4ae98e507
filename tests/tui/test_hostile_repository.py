"""The screen in a hostile repository: its start, its list of tasks and its review run nothing it configures."""

import subprocess

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls
from tui.tmux import needs_tmux

pytestmark = needs_tmux


def plain_status(user: User) -> None:
    subprocess.run(["git", "status"], cwd=user.repository, capture_output=True, check=False)


@pytest.mark.case("A19")
async def test_the_screen_the_list_of_tasks_and_the_review_run_nothing_of_the_repository(user, terminal):
    marker = user.root / "marker"
    monitor = user.root / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {marker}\n")
    monitor.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "diff.external", "core.editor", "core.sshCommand"):
        user.git("config", key, str(monitor))
    plain_status(user)
    assert marker.exists(), "the trap fires under plain git"
    marker.unlink()
    turns = [calls(PLAN, FIX), calls(PLAN_DONE), *([{"text": "It is done now."}] * 8)]
    async with answered(user, turns, config='mode = "auto"'):
        await terminal.open()
        await terminal.ask("Take the discount off")
        await terminal.shows("ready for review")
        await terminal.press("F3")
        await terminal.shows("hunk 1 of 1")
        await terminal.press("Escape")
        await terminal.shows("Say what should be done")
        await terminal.press("F2")
        await terminal.shows("READY FOR REVIEW 1")
        await terminal.press("C-q")
        await terminal.shows("[ended 0]")
    assert not marker.exists()
