"""What was judged to change nothing is carried out where nothing can be changed, through the installed command."""

import asyncio
import shutil
import subprocess

import pytest
from command import GOOSE, User, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

DONE = [{"text": "Done."}] * 4
AGAIN = "run again as a command that may"
DIFF = "cd inner && git diff HEAD~1"


@pytest.fixture
def converting(user: User) -> User:
    """In whose checkout is another repository, which names a program that git runs for a diff: it leaves a file behind."""
    inner = user.repository / "inner"
    (user.repository / ".gitignore").write_text("inner/\n")
    user.commit("Ignore it")
    user.git("init", "-q", "inner")
    user.git("-C", "inner", "config", "diff.kept.textconv", "sh -c 'echo x > made && cat \"$1\"' -")
    (inner / ".gitattributes").write_text("*.txt diff=kept\n")
    for text in ("one\n", "two\n"):
        (inner / "a.txt").write_text(text)
        user.git("-C", "inner", "add", "-A")
        user.git("-C", "inner", "commit", "-q", "-m", text)
    return user


def results(user: User, task_id: str) -> list[str]:
    records = read_log(user.state / "tasks" / task_id).records
    return [record.event.result.text() for record in records if isinstance(record.event, ev.ToolFinished)]


def carried_out(user: User, task_id: str) -> list[bool]:
    records = read_log(user.state / "tasks" / task_id).records
    return [record.event.call.reads_only for record in records if isinstance(record.event, ev.ToolStarted)]


@pytest.mark.case("S01")
async def test_reading_that_wants_to_write_is_run_again_as_writing_in_auto_and_asked_about_else(converting):
    user = converting
    turns = [calls(("shell", {"command": DIFF})), calls(("shell", {"command": "cd inner; ls made; git status --short"})), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json", "--sandbox", "full")
    first, second = results(user, ended.json["session_id"])
    assert "+two" in first and "[exit code 0]" in first and AGAIN in first and second.startswith("made\n?? made\n")
    assert carried_out(user, ended.json["session_id"]) == [True, True]
    async with answered(user, turns):
        ended = await user.goose("run", "-t", "Go", "--mode", "ask", "--output-format", "json", "--sandbox", "full")
    first, second = results(user, ended.json["session_id"])
    assert "Read-only file system" in first and "It wanted to change something" in first and AGAIN not in first
    assert "cannot access 'made'" in second and "??" not in second
    assert ended.code == 3 and [one["tool"] for one in ended.json["denied"]] == ["shell"], ended.json["denied"]


@pytest.mark.case("S01")
async def test_what_could_send_something_out_is_not_repeated_by_itself(converting):
    user = converting
    turns = [calls(("shell", {"command": DIFF})), calls(("shell", {"command": "cd inner; ls made"})),
             calls(("shell", {"command": DIFF})), calls(("shell", {"command": "cd inner; ls made"})), *DONE]  # fmt: skip
    async with answered(user, turns, config='mode = "auto"\nsandbox.network = true'):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json", "--sandbox", "full")
    refused, missing, done, there = results(user, ended.json["session_id"])
    assert "Read-only file system" in refused and "Send it again if that is meant." in refused
    assert "cannot access 'made'" in missing
    assert "+two" in done and there.startswith("made\n")
    assert carried_out(user, ended.json["session_id"]) == [True, True, False, True]


async def test_reading_has_no_network_and_sees_the_state_of_git_that_commands_have_made(user):
    commands = (
        "echo x > staged && git add staged && git commit -qm 'Made inside' && echo y >> staged && git add staged",
        "git status --short && git log --oneline -1 && git diff --staged --stat && cat /proc/net/dev | wc -l",
        "ls > /dev/null && wc -l < /proc/net/dev",
    )
    turns = [*(calls(("shell", {"command": command})) for command in commands), *DONE]
    async with answered(user, turns, config='mode = "auto"\nsandbox.network = true'):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json", "--sandbox", "full")
    _, seen, _ = results(user, ended.json["session_id"])
    assert seen.startswith("M  staged\n") and "Made inside" in seen and " staged | 1 +\n" in seen
    assert seen.splitlines()[-2] == "3", "the loopback, and two lines of headings"
    assert carried_out(user, ended.json["session_id"]) == [False, True, True]


async def test_where_nothing_can_be_mounted_reading_cannot_write_either(user):
    """Without namespaces of users bubblewrap cannot run, and Landlock is what is left."""
    without = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "-"]
    if not shutil.which("unshare") or subprocess.run([*without, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: no namespace of users can be made here")
    elsewhere = f"cat {user.root}/home/config/config.toml"
    turns = [calls(("shell", {"command": elsewhere})), calls(("shell", {"command": "ls | head -1"})), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        process = await asyncio.create_subprocess_exec(
            *without, GOOSE, "run", "-t", "Go", "--output-format", "json", "--sandbox", "partial",
            cwd=user.repository, env=user.environment(), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said = await process.communicate()
    task_id = next(path.name for path in (user.state / "tasks").iterdir())
    denied, listed = results(user, task_id)
    assert "Permission denied" in denied and AGAIN in denied, said
    assert listed.startswith("cart.py\n") and AGAIN not in listed
    assert carried_out(user, task_id) == [True, True]


async def test_no_command_leads_git_to_another_folder_for_its_configuration(user: User):
    made = "git init -q --bare x; git -C x config diff.external pwned; echo $PWD/x > $(git rev-parse --git-dir)/commondir"
    turns = [calls(("shell", {"command": made})), calls(("shell", {"command": "echo y >> cart.py; git diff"})), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json", "--sandbox", "full")
    first, second = results(user, ended.json["session_id"])
    assert "commondir" in first and "Read-only file system" in first, first
    assert "+y" in second and "pwned" not in second, second
