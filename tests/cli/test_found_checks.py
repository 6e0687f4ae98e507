"""Checks that nobody configured: found in the project, and run at the end with nothing that the user granted."""

import asyncio
import os
import signal

import pytest
from command import FIX, FIXING, PLAN, PLAN_DONE, answered, calls

FOUND_CHECKS = True

MAKEFILE = "test:\n\tpython3 -c 'import cart; assert cart.total([10, 5], discount=3) == 12'\n"
BREAKING = [calls(PLAN, ("edit", {**FIX[1], "new_string": "0"}), PLAN_DONE), *[{"text": "Done."}] * 12]
WRITING = [calls(PLAN, ("write", {"path": "notes.txt", "content": "n\n"}), PLAN_DONE), *[{"text": "Done."}] * 6]
GREEN = "test:\n\t@grep -q 'def total' cart.py\n"


@pytest.fixture
def user(user):
    (user.repository / "Makefile").write_text(MAKEFILE)
    user.commit("A test command")
    return user


def made(user, text: str) -> None:
    (user.repository / "Makefile").write_text(text)
    user.commit("Another test command")


async def checked(user, *args: str):
    """The checks of a run as its JSON has them, and how it ended."""
    ended = await user.goose("run", "-t", "Do it", "--output-format", "json", *args)
    return ended.json["checks"], ended


@pytest.mark.case("H05")
async def test_what_is_found_runs_at_the_end_and_is_labelled_as_found(user):
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it")
    assert ended.code == 0 and "checks: make test (found: Makefile)" in ended.err, ended
    assert "✓ check  make test" in ended.err and "No check is configured" not in ended.err and "checks passed" in ended.err
    (task,) = (await user.goose("task", "list", "--json")).json
    assert task["checks"] == "passed" and task["missing"] == []
    review = await user.goose("review", task["task_id"], "--audit")
    assert "passed: make test (found) (exit code 0" in review.out


async def test_nothing_runs_where_nothing_was_changed(user):
    async with answered(user, [{"text": "Nothing to do."}]):
        checks, ended = await checked(user)
    assert ended.code == 0 and checks == []


async def test_what_fails_only_after_the_work_goes_back_to_the_model_and_ends_with_6(user):
    made(user, GREEN)
    turns = [calls(PLAN, ("write", {"path": "cart.py", "content": "x = 1\n"}), PLAN_DONE), *[{"text": "Done."}] * 12]
    async with answered(user, turns) as server:
        checks, ended = await checked(user)
    assert ended.code == 6, ended
    assert (checks[0]["outcome"], checks[0]["found"]) == ("failed", True)
    assert checks[0]["reason"] == "It passes on the files that the task began with."
    assert sum("did not pass" in str(request.body["messages"][-1]) for request in server.requests) == 3


async def test_what_failed_before_in_the_same_way_is_said_and_is_not_the_works_fault(user):
    async with answered(user, WRITING) as server:
        ended = await user.goose("run", "-t", "Write notes")
    assert ended.code == 0 and "failed before" in ended.err and "fails like this on the files that the task began" in ended.err
    assert not any("did not pass" in str(request.body["messages"][-1]) for request in server.requests)
    (task,) = (await user.goose("task", "list", "--json")).json
    assert (task["checks"], task["failed_check"], task["state"]) == ("failed before", "", "awaiting review")
    assert "~ failed before" in (await user.goose("task", "list")).out
    shown = await user.goose("review", task["task_id"])
    assert "a check fails as it did before" in shown.out
    again = await user.goose("task", "check", task["task_id"])
    assert again.code == 0 and "checks: failed before" in again.out


async def test_another_failure_than_before_is_the_works_own(user):
    async with answered(user, [calls(PLAN, ("write", {"path": "cart.py", "content": "def ("}), PLAN_DONE), *BREAKING[1:]]):
        checks, ended = await checked(user)
    assert ended.code == 6 and checks[0]["outcome"] == "failed" and "but not in this way" in checks[0]["reason"]


@pytest.mark.parametrize(
    ("recipe", "why", "grant"),
    [
        ("\t@no-such-program --all\n", "needs a program that cannot be started here: no-such-program", "worktree.setup"),
        ("\t@python3 -c 'import no_such_module'\n", "needs a module that is not there: no_such_module", "worktree.setup"),
        (
            "\t@python3 -c 'import socket; socket.create_connection((\"example.org\", 80))'\n",
            "wants the network",
            "sandbox.network = true",
        ),
        ("\t@touch /usr/share/mine\n", "wants to write", "$TMPDIR"),
    ],
)
async def test_what_cannot_run_here_is_told_apart_with_the_line_that_grants_it(user, recipe, why, grant):
    made(user, f"test:\n{recipe}")
    async with answered(user, WRITING) as server:
        checks, ended = await checked(user)
    assert ended.code == 0 and checks[0]["outcome"] == "cannot run", checks
    assert why in checks[0]["reason"] and grant in checks[0]["reason"]
    assert not any("did not pass" in str(request.body["messages"][-1]) for request in server.requests)
    (task,) = (await user.goose("task", "list", "--json")).json
    assert task["checks"] == "cannot run"


async def test_a_program_that_is_missing_only_since_the_work_has_failed(user):
    (user.repository / "check.sh").write_text("#!/bin/sh\nexit 0\n")
    (user.repository / "check.sh").chmod(0o755)
    made(user, "test:\n\t@./check.sh\n")
    written = ("write", {"path": "check.sh", "content": "#!/no/such/program\n"})
    async with answered(user, [calls(("read", {"path": "check.sh"})), calls(PLAN, written, PLAN_DONE), *BREAKING[1:]]):
        checks, ended = await checked(user)
    assert checks[0]["outcome"] == "failed" and ended.code == 6


async def test_its_time_limit_is_an_outcome_of_its_own(user):
    made(user, "test:\n\t@sleep 60\n")
    async with answered(user, WRITING, config="check_timeout = 1"):
        checks, ended = await checked(user)
    assert ended.code == 0 and checks[0]["outcome"] == "timed out" and "1 seconds" in checks[0]["reason"], checks


async def test_what_a_check_writes_is_no_part_of_the_work_and_no_check_sees_what_was_granted(user):
    made(user, "test:\n\t@touch left.txt; test -z \"$$GH_TOKEN\"\n")
    user.env = {**user.env, "GH_TOKEN": "ghx-4f9a1c77d02b4e5f"}
    async with answered(user, WRITING):
        checks, ended = await checked(user, "--env", "GH_TOKEN")
    assert ended.code == 0 and checks[0]["outcome"] == "passed" and ended.json["changes"]["files"] == 1
    made(user, 'test:\n\t@test -n "$$GH_TOKEN"\n')
    async with answered(user, [*WRITING[:3], *WRITING]):
        checks, ended = await checked(user, "--env", "GH_TOKEN")
        assert checks[0]["outcome"] == "failed before" and "`goose-py trust` lets it have" in checks[0]["reason"]
        await user.goose("trust", "--yes")
        checks, ended = await checked(user, "--env", "GH_TOKEN")
    assert checks[0]["outcome"] == "passed" and not checks[0]["found"]


@pytest.mark.parametrize("args", [("--check", "none"), ()])
async def test_a_word_ends_the_search(user, args):
    async with answered(user, FIXING, config="" if args else "checks = []"):
        checks, ended = await checked(user, *args)
    assert ended.code == 0 and checks == []
    both = await user.goose("run", "-t", "Fix it", "--check", "none", "--check", "make test")
    assert both.code == 2 and "no check beside others" in both.err


async def test_without_a_sandbox_none_runs(user):
    async with answered(user, WRITING):
        checks, ended = await checked(user, "--sandbox", "none")
    assert ended.code == 0 and checks == []


async def test_what_is_found_where_the_user_stands_comes_first(user):
    (user.repository / "sub").mkdir()
    (user.repository / "sub" / "Makefile").write_text("test:\n\t@test `basename $$PWD` = sub\n")
    user.commit("A part of it")
    async with answered(user, WRITING):
        ended = await user.goose("run", "-t", "Write notes", cwd=user.repository / "sub")
    assert "checks: make test (found: Makefile)" in ended.err and "✓ check  make test" in ended.err


async def test_killed_while_the_first_files_are_back_everything_is_there_again(user):
    made(user, "test:\n\t@test -e notes.txt || { echo on-base; sleep 60; }; false\n")
    async with answered(user, WRITING):
        process = await user.start("run", "-t", "Write notes")
        async with asyncio.timeout(60):
            while not any("on-base" in log.read_text() for log in user.state.rglob("check-*.log")):
                await asyncio.sleep(0.05)
        (worktree,) = [path.parent for path in user.state.rglob("tree/cart/cart.py")]
        assert not (worktree / "notes.txt").exists()
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        (task,) = (await user.goose("task", "list", "--json")).json
        shown = await user.goose("review", task["task_id"])
    assert "notes.txt" in shown.out and (worktree / "notes.txt").read_text() == "n\n"


@pytest.mark.parametrize(("turns", "code", "standing"), [(FIXING, 0, "passed"), (BREAKING, 6, "failed")])
async def test_what_is_found_is_required_where_the_task_was_told_so(user, turns, code, standing):
    async with answered(user, turns):
        ended = await user.goose("run", "-t", "Fix it", "--check", "auto")
    assert ended.code == code, ended
    assert "checks: make test" in ended.err and "(found" not in ended.err, "shown before use"
    (task,) = (await user.goose("task", "list", "--json")).json
    assert task["checks"] == standing


async def test_what_is_found_counts_for_every_task_once_it_is_trusted_until_it_changes(user):
    shown = await user.goose("trust", "--yes")
    assert shown.code == 0 and "`make test` (Makefile)" in shown.out
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it")
    assert ended.code == 0 and "checks: make test" in ended.err and "(found" not in ended.err
    assert "nothing in it waits" in (await user.goose("trust")).out
    (user.repository / "Makefile").unlink()
    (user.repository / "pytest.ini").write_text("[pytest]\n")
    user.commit("Another test command")
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it")
    assert "checks: pytest -q (found: pytest.ini)" in ended.err
    again = await user.goose("trust")
    assert again.code == 2 and "changed since you approved it" in again.out


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
