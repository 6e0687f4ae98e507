"""Repositories that are not simply a folder with its `.git` in it: what a person has to say before they are worked in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls

DONE = [{"text": "Done."}] * 6
FIXED = [calls(PLAN, FIX), calls(PLAN_DONE), *DONE]


def _git_dir_elsewhere(user: User, how: str) -> None:
    elsewhere = user.root / "stores" / (".git" if how != "other name" else "cart.git")
    elsewhere.parent.mkdir()
    if how == "link":
        (user.repository / ".git").rename(elsewhere)
        (user.repository / ".git").symlink_to(elsewhere)
    else:
        user.git("init", "-q", "--separate-git-dir", str(elsewhere))


async def _works_after_trust(user: User, said: str) -> None:
    """Nothing is done there before somebody said so; then a task goes all its way."""
    for command in (("run", "-t", "Do it"), ("task", "start", "Do it")):
        refused = await user.goose(*command)
        assert refused.code != 0 and said in refused.err and "goose-py trust" in refused.err, refused
        assert "Traceback" not in refused.err and refused.err.count("\n") == 1, refused.err
    assert said in (await user.goose("doctor")).out
    asked = await user.goose("trust")
    assert asked.code == 2 and said in asked.out and "--yes" in asked.err, asked
    assert (await user.goose("run", "-t", "Do it")).code != 0, "a question is no answer"
    told = await user.goose("trust", "--yes")
    assert told.code == 0, told
    ran = await user.goose("run", "-t", "Do it", "--output-format", "json")
    assert ran.code == 0 and ran.json["changes"]["files"] == 1, ran
    task = ran.json["session_id"]
    assert task in (await user.goose("task", "list")).out
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert "- discount" in (user.repository / "cart.py").read_text()
    assert "nothing" in (await user.goose("trust")).out
    assert (await user.goose("trust", "--revoke")).code == 0
    refused = await user.goose("run", "-t", "Do it")
    assert refused.code != 0 and said in refused.err, refused


@pytest.mark.case("P17")
@pytest.mark.parametrize("how", ["pointer", "link", "other name"])
async def test_a_git_directory_elsewhere_is_a_question_of_trust(user: User, how: str):
    _git_dir_elsewhere(user, how)
    async with answered(user, FIXED):
        await _works_after_trust(user, "does not say that it belongs here")


@pytest.mark.case("P17")
async def test_trust_in_a_git_directory_elsewhere_is_in_that_one_from_that_folder(user: User):
    _git_dir_elsewhere(user, "pointer")
    assert (await user.goose("trust", "--yes")).code == 0
    sent = user.root / "sent"
    sent.mkdir()
    shutil.copy(user.repository / ".git", sent / ".git")
    async with answered(user, FIXED):
        refused = await user.goose("run", "-t", "Do it", cwd=sent)
        assert refused.code != 0 and "goose-py trust" in refused.err, refused
        other = user.root / "other"
        user.git("clone", "-q", ".", str(other))
        (user.repository / ".git").write_text(f"gitdir: {other / '.git'}\n")
        refused = await user.goose("run", "-t", "Do it")
        assert refused.code != 0 and "goose-py trust" in refused.err, refused


@pytest.mark.case("P17")
async def test_in_the_root_of_a_bare_layout_its_worktrees_are_named(user: User):
    layout = user.root / "layout"
    user.git("clone", "-q", "--bare", ".", str(layout / ".bare"))
    (layout / ".git").write_text("gitdir: ./.bare\n")
    where = layout / "main"
    subprocess.run(["git", "-C", layout, "worktree", "add", "-q", where, "main"], check=True, capture_output=True)
    async with answered(user, FIXED):
        for place in (layout, layout / ".bare"):
            refused = await user.goose("run", "-t", "Do it", cwd=place)
            assert refused.code != 0 and f"go into one of its worktrees: {where}" in refused.err, refused
        ran = await user.goose("run", "-t", "Do it", "--output-format", "json", cwd=where)
        assert ran.code == 0 and ran.json["changes"]["files"] == 1, ran
        refused = await user.goose("run", "-t", "Do it", cwd=layout)
        assert "/tasks/" not in refused.err, "those of tasks are no place to go to"
        assert (await user.goose("apply", ran.json["session_id"], "--all", "--yes", cwd=where)).code == 0
    assert "- discount" in (where / "cart.py").read_text()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")


def _give_away(folder: Path, uid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.lchown(path, uid, uid)


@needs_root
@pytest.mark.case("P35")
async def test_the_repository_of_another_owner_is_asked_about_where_git_refuses_it(user: User):
    _give_away(user.repository, 12345)
    plain = subprocess.run(["git", "status"], cwd=user.repository, env=user.environment(), capture_output=True, text=True)
    assert plain.returncode == 128 and "dubious ownership" in plain.stderr
    async with answered(user, FIXED):
        await _works_after_trust(user, "belongs to another user")


@needs_root
@pytest.mark.case("P35")
@pytest.mark.parametrize("said", ["safe.directory", "sudo"])
async def test_what_git_takes_of_another_owner_is_not_asked_about(user: User, said: str):
    _give_away(user.repository, 12345)
    if said == "sudo":
        user.env["SUDO_UID"] = "12345"
    else:
        with (user.root / "home" / ".gitconfig").open("a") as config:
            config.write(f"[safe]\n\tdirectory = {user.repository}\n")
    async with answered(user, FIXED):
        ran = await user.goose("run", "-t", "Do it", "--output-format", "json")
        assert ran.code == 0 and ran.json["changes"]["files"] == 1, ran
