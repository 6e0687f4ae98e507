"""`git commit` inside a task with the sandbox on: it is kept for the task, and changes nothing else of the repository."""

from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

DONE = [{"text": "Done."}] * 6
LOCKED = (
    "git config core.fsmonitor 'touch p'", "echo x > $(git rev-parse --git-common-dir)/hooks/post-checkout",
    "git branch -f main HEAD~1", "git update-ref refs/heads/evil HEAD", "git tag evil",
    "echo 'gitdir: /evil' > .git", "git push --force .  HEAD:main", "git worktree add ../evil",
)  # fmt: skip


@pytest.mark.case("U40")
async def test_a_commit_in_a_task_is_kept_for_it_and_hooks_and_configuration_stay_as_they_are(user):
    user.git("config", "user.name", "Ada Lovelace")
    user.git("config", "user.email", "ada@example.org")
    (user.repository / "untouched").mkdir()
    common = user.repository / ".git"
    fixed = ("config", "HEAD", "refs/heads/main", "index", "hooks/pre-commit.sample")
    before = {name: (common / name).read_bytes() for name in fixed}
    commit = "git add -A && git commit -qm 'Take the discount off' && git status --porcelain && git log --format=%s%n%an -1"
    turns = [
        calls(PLAN, FIX),
        calls(("shell", {"command": commit})),
        calls(*(("shell", {"command": command}) for command in LOCKED)),
        calls(
            ("shell", {"command": "git commit --amend -qm 'Take the discount off, for good' && git show --stat HEAD"}),
            PLAN_DONE,
        ),
        calls(("shell", {"command": "rm -rf $(git rev-parse --git-common-dir)/refs"})),
        *DONE,
    ]
    async with answered(user, turns, config='mode = "auto"\n[[rules]]\nverdict = "allow"\npattern = "git *"\n'):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json", "--sandbox", "full")
    records = read_log(user.state / "tasks" / ended.json["session_id"]).records
    said = [record.event.result.text() for record in records if isinstance(record.event, ev.ToolFinished)]
    assert any("Take the discount off\nAda Lovelace\n[exit code 0]" in text for text in said), said
    branch = f"refs/goose/{ended.json['session_id']}/head"
    assert (
        user.git("log", "--format=%s|%an", "-2", branch)
        == "Take the discount off, for good|Ada Lovelace\nA cart with a bug|Ada\n"
    )
    assert "sum(prices) - discount" in user.git("show", f"{branch}:cart.py")
    assert {name: (common / name).read_bytes() for name in fixed} == before
    assert not (common / "hooks" / "post-checkout").exists()
    # What it made besides is kept for it, and is no branch or tag of the user's.
    assert user.git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags") == "refs/heads/main\n"
    assert user.git("for-each-ref", "--format=%(refname)", f"refs/goose/{ended.json['session_id']}/tags").count("evil") == 1
    workspace = Path(ended.json["worktree"])
    assert user.git("-C", str(workspace), "status", "--porcelain") == ""
    assert user.git("fsck", "--strict") is not None
    # What was committed is reviewed and applied like everything else.
    applied = await user.goose("apply", "--all", "--yes")
    assert applied.code == 0 and "sum(prices) - discount" in (user.repository / "cart.py").read_text(), applied


async def test_programs_with_repositories_of_their_own_are_not_disturbed(user):
    """A test suite that drives git: its objects and its author are where it put them."""
    command = (
        "cd $(mktemp -d) && git init -q . && git config user.name Own && git config user.email o@x && echo 1 > f && git add f "
        "&& git commit -qm own && git log --format=%an && ls .git/objects | grep -c '^..$' && git clone -q . copy && ls copy"
    )
    async with answered(user, [calls(("shell", {"command": command})), *DONE], config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json", "--sandbox", "full")
    records = read_log(user.state / "tasks" / ended.json["session_id"]).records
    said = [record.event.result.text() for record in records if isinstance(record.event, ev.ToolFinished)]
    assert said == ["Own\n3\nf\n[exit code 0]"]
