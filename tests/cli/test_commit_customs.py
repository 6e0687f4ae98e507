"""Commits that leave a task are the user's own: by them, and where theirs would be signed or checked by hooks, that is said."""

import pytest
from command import FIXING, answered


async def fixed(user) -> str:
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it", "--output-format", "json")
    assert ended.code == 0, ended
    return ended.json["session_id"]


@pytest.mark.case("P10")
async def test_a_merged_commit_is_by_whom_git_says_and_what_it_lacks_is_said(user):
    user.env = {"GIT_AUTHOR_NAME": "Grace", "GIT_AUTHOR_EMAIL": "grace@example.org"}
    user.git("config", "commit.gpgsign", "true")
    user.git("config", "core.hooksPath", "tools/hooks")
    hook = user.repository / "tools" / "hooks" / "pre-commit"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {user.root}/ran\n")
    hook.chmod(0o755)
    user.commit("hooks")
    (user.root / "ran").unlink(missing_ok=True)
    task = await fixed(user)
    merged = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert merged.code == 0, merged
    assert user.git("log", "-1", "--format=%an <%ae>|%cn <%ce>").strip() == (
        "Grace <grace@example.org>|Ada <ada@example.org>"
    )
    assert "The commit is not signed and pre-commit was not run" in merged.err and "--amend --no-edit" in merged.err
    assert not (user.root / "ran").exists()


@pytest.mark.case("P10")
async def test_nobody_commits_for_somebody_whom_git_does_not_know(user):
    (user.root / "home" / ".gitconfig").unlink()
    task = await fixed(user)
    head = user.git("rev-parse", "HEAD")
    refused = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert refused.code == 2 and "user.name" in refused.err and "--how worktree" in refused.err, refused
    assert user.git("rev-parse", "HEAD") == head
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0, "files need no author"
