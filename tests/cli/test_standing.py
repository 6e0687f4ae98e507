"""A task stands where its user stands: the folder that things begin in, and the path that they are called by."""

import json
from pathlib import Path

import pytest
from checkouts import manifest, run
from command import PLAN, PLAN_DONE, User, answered, calls

FOUND_CHECKS = True

DONE = [{"text": "Done."}] * 4
WRITES = ("write", {"path": "new.txt", "content": "new\n"})


def shell(command: str) -> tuple[str, dict[str, str]]:
    return "shell", {"command": command}


@pytest.mark.case("U02")
async def test_where_nothing_is_mounted_tools_map_the_checkout_and_a_command_that_names_it_is_refused(user: User):
    main, before = user.repository, manifest(user.repository)
    turns = [
        calls(PLAN, ("read", {"path": f"{main}/cart.py"}), ("write", {"path": f"{main}/by-tool.txt", "content": "x\n"})),
        calls(shell(f"echo x > {main}/by-command.txt"), shell("pwd; ls")),
        calls(PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns):
        done = await run(user, "-t", "Do it", "--sandbox", "none", "--mode", "auto")
    worktree = (await done.row())["workspace"]
    refused, listed = done.printed[3:5]
    assert f"It names {main}, the user's checkout" in refused and f"are in {worktree}. Say that path" in refused
    assert listed.splitlines()[0] == worktree and "by-tool.txt" in listed
    assert await done.changes() == {"by-tool.txt"} and manifest(main) == before


@pytest.mark.case("P12")
async def test_a_folder_that_no_tree_holds_is_there_to_begin_in(user: User):
    folder = user.repository / "pkg" / "new"
    folder.mkdir(parents=True)
    writes = [calls(PLAN, shell("pwd"), WRITES, PLAN_DONE), *DONE]
    gone = [calls(PLAN, shell(f"cd {user.repository} && rm -r pkg"), shell("pwd"), ("write", {"path": "../x", "content": ""}))]
    async with answered(user, writes):
        done = await run(user, "-t", "Do it", "--check", "true", cwd=folder)
    async with answered(user, [*gone, calls(PLAN_DONE), *DONE]):
        left = await run(user, "-t", "Leave it", "--check", "true", "--mode", "auto", cwd=folder)
    assert done.printed[1].startswith(f"{folder}\n")
    assert await done.changes() == {"pkg/new/new.txt"}
    assert left.printed[2].startswith(f"{user.repository}\n[the folder pkg/new that commands begin in is gone;")
    assert await left.changes() == {"pkg/x"} and (await left.row())["checks"] == "passed"


@pytest.mark.case("P12")
async def test_checks_that_belong_to_a_folder_above_run_there_and_are_named_so(user: User):
    folder = user.repository / "pkg"
    folder.mkdir()
    (folder / "a.txt").write_text("a\n")
    (user.repository / "Makefile").write_text("test:\n\ttest -e pkg/new.txt\n")
    user.commit("A test target")
    async with answered(user, [calls(PLAN, WRITES, PLAN_DONE), *DONE]):
        done = await run(user, "-t", "Do it", "--check", "auto", cwd=folder)
    assert "checks: cd .. && make test" in done.ended.err and (await done.row())["checks"] == "passed"


async def test_a_result_says_what_the_model_was_told_and_where_the_files_lie(user: User):
    folder = user.repository / "pkg"
    folder.mkdir()
    async with answered(user, [calls(PLAN, WRITES, PLAN_DONE), *DONE] * 2) as server:
        ended = await user.goose("run", "-t", "Do it", "--check", "none", "--output-format", "json", cwd=folder)
        in_lines = await user.goose("run", "-t", "Do it", "--check", "none", cwd=folder)
    assert ended.code == 0 == in_lines.code, (ended, in_lines)
    worktree = Path(ended.json["worktree"])
    assert ended.json["workspace"] == str(user.repository) and not worktree.is_relative_to(user.repository)
    assert (worktree / "pkg" / "new.txt").read_text() == "new\n"
    asked = json.dumps(server.requests[0].body)
    assert f"Workspace: {user.repository} " in asked and "Folder: pkg;" in asked and str(worktree) not in asked
    assert f"{folder} (worktree " in in_lines.err
