"""What is said of a diff is true of exactly the files that it shows."""

from pathlib import Path

import pytest
from command import CHECK, FIXING, answered


@pytest.mark.case("U13")
async def test_a_check_that_passed_before_the_files_were_edited_is_stale_wherever_they_are_shown(user):
    async with answered(user, FIXING):
        done = await user.goose("run", "-t", "Fix it", "--check", CHECK, "--output-format", "json")
    task = done.json["session_id"]
    assert "✓ checks passed on exactly these files" in (await user.goose("review")).out
    (task_file,) = (user.state / "tasks" / task).glob("tree/*/cart.py")
    task_file.write_text("BROKEN\n")
    shown = await user.goose("review")
    assert "+BROKEN" in shown.out and "checks are stale" in shown.out and "checks passed" not in shown.out
    assert (await user.goose("review", "--json")).json["task"]["checks"] == "stale"
    assert "stale" in (await user.goose("review", "--audit")).out
    asked = await user.goose("apply", "--all")
    assert asked.code == 2 and "The checks are: stale" in asked.err
    assert (await user.goose("apply", "--all", "--yes")).code == 0
    assert Path(user.repository / "cart.py").read_text() == "BROKEN\n"
    assert (await user.goose("task", "list", "--json")).json[0]["checks"] == "stale"
    assert (await user.goose("task", "check", task)).code == 6
    assert (await user.goose("task", "list", "--json")).json[0]["checks"] == "failed"


async def test_after_a_rewind_the_list_counts_what_is_there(user):
    async with answered(user, FIXING):
        done = await user.goose("run", "-t", "Fix it", "--check", CHECK, "--output-format", "json")
    task = done.json["session_id"]
    assert (await user.goose("task", "list", "--json")).json[0]["added"] == 1
    assert (await user.goose("task", "rewind", task, "--to", "1", "--yes")).code == 0
    (listed,) = (await user.goose("task", "list", "--json")).json
    assert (listed["files"], listed["added"], listed["removed"]) == (0, 0, 0)
    assert (await user.goose("task", "rewind", task, "--undo", "--yes")).code == 0
    (listed,) = (await user.goose("task", "list", "--json")).json
    assert (listed["files"], listed["added"], listed["removed"], listed["checks"]) == (1, 1, 1, "passed")
