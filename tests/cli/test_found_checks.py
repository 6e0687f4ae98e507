"""Checks that nobody configured: found in the project, shown, and run only where somebody has said so."""

import os

import pytest
from command import FIX, FIXING, PLAN, PLAN_DONE, answered, calls

MAKEFILE = "test:\n\tpython3 -c 'import cart; assert cart.total([10, 5], discount=3) == 12'\n"
BREAKING = [calls(PLAN, ("edit", {**FIX[1], "new_string": "0"}), PLAN_DONE), *[{"text": "Done."}] * 12]


@pytest.fixture
def user(user):
    (user.repository / "Makefile").write_text(MAKEFILE)
    user.commit("A test command")
    return user


async def test_what_is_found_is_shown_and_not_run(user):
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it", "--output-format", "json")
    assert ended.code == 0 and ended.json["checks"] == []
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it")
    assert "No check is configured" in ended.err and "`make test` (Makefile)" in ended.err
    assert "--check auto" in ended.err and "goose-py trust" in ended.err


@pytest.mark.parametrize(("turns", "code", "standing"), [(FIXING, 0, "passed"), (BREAKING, 6, "failed")])
async def test_what_is_found_is_run_where_the_task_was_told_so(user, turns, code, standing):
    async with answered(user, turns):
        ended = await user.goose("run", "-t", "Fix it", "--check", "auto")
    assert ended.code == code, ended
    assert "checks: make test" in ended.err, "shown before use"
    (task,) = (await user.goose("task", "list", "--json")).json
    assert task["checks"] == standing


async def test_what_is_found_counts_for_every_task_once_it_is_trusted_until_it_changes(user):
    shown = await user.goose("trust", "--yes")
    assert shown.code == 0 and "`make test` (Makefile)" in shown.out
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it")
    assert ended.code == 0 and "checks: make test" in ended.err and "No check is configured" not in ended.err
    assert "nothing in it waits" in (await user.goose("trust")).out
    (user.repository / "Makefile").unlink()
    (user.repository / "pytest.ini").write_text("[pytest]\n")
    user.commit("Another test command")
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it")
    assert "No check is configured" in ended.err and "(pytest.ini)" in ended.err and "checks: " not in ended.err
    again = await user.goose("trust")
    assert again.code == 2 and "changed since you approved it" in again.out


async def test_a_word_in_the_configuration_ends_the_search(user):
    async with answered(user, FIXING, config="checks = []"):
        ended = await user.goose("run", "-t", "Fix it")
    assert ended.code == 0 and "Found here" not in ended.err
    assert "nothing to trust" in (await user.goose("trust")).out


async def test_a_search_that_was_asked_for_and_finds_nothing_is_refused_before_anything_begins(user):
    user.git("rm", "-q", "Makefile", "test_cart.py")
    user.commit("No tests")
    async with answered(user, FIXING) as server:
        ended = await user.goose("run", "-t", "Fix it", "--check", "auto")
    assert ended.code == 2 and "finds no test command" in ended.err and server.requests == []
    assert (await user.goose("task", "list", "--json")).json == []


async def test_a_pipe_in_the_place_of_a_file_holds_nothing_up(user):
    os.mkfifo(user.repository / "package.json")
    (user.repository / "Makefile").unlink()
    (user.repository / "Makefile").symlink_to("/dev/zero")
    async with answered(user, [{"text": "Fine."}]):
        ended = await user.goose("run", "-t", "Look", "--base", "head")
    assert ended.code == 0 and "make test" not in ended.err


@pytest.mark.case("A34")
async def test_a_project_whose_names_act_on_a_terminal_cannot_forge_what_is_asked(user):
    (user.repository / "Makefile").unlink()
    (user.repository / "a\n  runs   nothing\x1b]0;owned\x07.csproj").write_text("")
    programs = user.root / "programs"
    programs.mkdir()
    (programs / "dotnet").write_text("#!/bin/sh\n")
    (programs / "dotnet").chmod(0o755)
    user.env = {**user.env, "PATH": f"{programs}:{os.environ['PATH']}"}
    strange = user.repository.rename(user.root / "cart\x1b[2J\nis trusted")
    user.repository = strange
    shown = await user.goose("trust", "--yes")
    revoked = await user.goose("trust", "--revoke")
    assert shown.code == revoked.code == 0 and r"(a\n  runs   nothing\x1b]0;owned\x07.csproj)" in shown.out
    assert r"cart\x1b[2J\nis trusted" in shown.out and r"cart\x1b[2J\nis trusted" in revoked.out
    assert not set(shown.out + revoked.out) & {"\x1b", "\x07"}
