"""What a task made comes together with what its user did meanwhile as git merges it, and no byte of theirs is lost."""

from pathlib import Path

import pytest
from command import PLAN, PLAN_DONE, User, answered, calls

DONE = [{"text": "Done."}] * 8
LINES = "".join(f"line {number}\n" for number in range(1, 31))


def in_shell(command: str) -> tuple[str, dict[str, str]]:
    return ("shell", {"command": command})


async def made(user: User, *calls_: tuple[str, dict[str, str]], base: str = "head") -> str:
    async with answered(user, [calls(PLAN, *calls_), calls(PLAN_DONE), *DONE], config='mode = "auto"'):
        done = await user.goose("run", "-t", "Do it well", "--base", base, "--output-format", "json")
    assert done.code == 0, done
    return done.json["session_id"]


REMOVED = in_shell("python3 -c \"import os; os.remove('old.py')\"")


def edited(path: str, old: str, new: str) -> tuple[str, dict[str, str]]:
    return ("edit", {"path": path, "old_string": old, "new_string": new})


@pytest.fixture
def user(user: User) -> User:
    (user.repository / "old.py").write_text(LINES)
    user.commit("Lines")
    return user


def bytes_of(user: User) -> dict[str, bytes]:
    files = (path for path in user.repository.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(user.repository)): path.read_bytes() for path in files}


HOWS = ("squash", "commits", "worktree")


# Renames


@pytest.mark.case("P04")
@pytest.mark.parametrize("how", HOWS)
async def test_a_deletion_of_what_was_renamed_meanwhile_is_a_conflict_that_is_named(user: User, how: str):
    task = await made(user, REMOVED)
    user.git("mv", "old.py", "new.py")
    tip, before = user.commit("Renamed"), bytes_of(user)
    refused = await user.goose("apply", task, "--all", "--yes", "--how", how)
    assert refused.code == 2 and "rename/delete" in refused.err and "new.py" in refused.err, refused
    assert "nothing was changed" in refused.err and user.git("rev-parse", "main").strip() == tip
    assert bytes_of(user) == before and user.git("status", "--porcelain") == ""
    collected = await user.goose("task", "gc")
    assert "not merged" in collected.out, collected
    assert list((user.state / "tasks" / task / "tree").glob("*")), "a worktree whose change is nowhere else stays"


@pytest.mark.case("P04")
@pytest.mark.parametrize("how", HOWS)
async def test_a_file_that_both_sides_renamed_is_a_conflict_and_not_two_files(user: User, how: str):
    task = await made(user, in_shell("mv old.py theirs.py"))
    user.git("mv", "old.py", "mine.py")
    tip, before = user.commit("Renamed"), bytes_of(user)
    refused = await user.goose("apply", task, "--all", "--yes", "--how", how)
    assert refused.code == 2 and "rename/rename" in refused.err, refused
    assert "mine.py" in refused.err and "theirs.py" in refused.err
    assert user.git("rev-parse", "main").strip() == tip and bytes_of(user) == before


@pytest.mark.case("P04")
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("renamed", ["task", "user"])
async def test_an_edit_follows_the_file_that_the_other_side_renamed(user: User, how: str, renamed: str):
    changed = LINES.replace("line 5\n", "line five\n")
    if renamed == "task":
        task = await made(user, in_shell("mkdir lib && mv old.py lib/new.py"))
        (user.repository / "old.py").write_text(changed)
    else:
        task = await made(user, edited("old.py", "line 5\n", "line five\n"))
        (user.repository / "lib").mkdir()
        user.git("mv", "old.py", "lib/new.py")
    user.commit("Meanwhile")
    before = bytes_of(user)
    applied = await user.goose("apply", task, "--all", "--yes", "--how", how)
    assert applied.code == 0, applied
    assert (user.repository / "lib" / "new.py").read_text() == changed and not (user.repository / "old.py").exists()
    if how != "worktree":
        assert user.git("show", "main:lib/new.py") == changed and user.git("status", "--porcelain") == ""
        return
    assert (await user.goose("apply", task, "--undo", "--yes")).code == 0
    assert bytes_of(user) == before


@pytest.mark.case("P04")
async def test_a_rename_and_the_edits_of_a_branch_meet_in_a_rebase_and_in_the_forecast(user: User):
    gone = await made(user, REMOVED)
    renamed = await made(user, in_shell("mv old.py lib.py"))
    forecast = await user.goose("task", "conflicts")
    assert forecast.code == 1 and gone in forecast.out and renamed in forecast.out and "lib.py" in forecast.out, forecast
    (user.repository / "old.py").write_text(LINES.replace("line 5\n", "line five\n"))
    user.commit("Meanwhile")
    async with answered(user, DONE, config='mode = "auto"'):
        back = await user.goose("task", "rebase", renamed)
    assert back.code == 0 and "nothing conflicted" in back.out, back
    assert "line five\n" in (user.state / "tasks" / renamed / "tree" / user.repository.name / "lib.py").read_text()


# Bytes


async def undone(user: User, task: str, before: dict[str, bytes]) -> None:
    back = await user.goose("apply", task, "--undo", "--yes")
    assert back.code == 0 and "Taken back" in back.out, back
    assert bytes_of(user) == before


@pytest.mark.case("P01")
@pytest.mark.parametrize("index", ["fresh", "stale"])
async def test_what_a_filter_keeps_out_of_git_stays_in_the_file(user: User, index: str):
    user.git("config", "filter.x.clean", 'grep -v "^OUT"')
    (user.repository / ".gitattributes").write_text("*.nb filter=x\n")
    notebook = user.repository / "n.nb"
    notebook.write_text("OUT 1\n" + LINES + "OUT 2\n")
    user.commit("A notebook")
    assert "OUT" not in user.git("show", "HEAD:n.nb")
    if index == "stale":
        notebook.write_text("OUT 3\n" + LINES + "OUT 4\n")
    before = bytes_of(user)
    task = await made(user, edited("n.nb", "line 5\n", "line five\n"))
    applied = await user.goose("apply", task, "--all", "--yes")
    assert applied.code == 0, applied
    assert notebook.read_bytes() == before["n.nb"].replace(b"line 5\n", b"line five\n")
    await undone(user, task, before)


@pytest.mark.case("P01")
async def test_what_a_filter_makes_unreadable_is_refused_in_one_sentence(user: User):
    user.git("config", "filter.x.clean", "tr a-z n-za-m")
    user.git("config", "filter.x.smudge", "tr a-z n-za-m")
    (user.repository / ".gitattributes").write_text("*.enc filter=x\n")
    (user.repository / "s.enc").write_text("one\ntwo\nthree\n")
    user.commit("A secret")
    before = bytes_of(user)
    task = await made(user, in_shell("sed -i s/gjb/GJB/ s.enc"))
    refused = await user.goose("apply", task, "--all", "--yes")
    assert refused.code == 2 and "s.enc" in refused.err and "filter 'x'" in refused.err, refused
    assert bytes_of(user) == before


@pytest.mark.case("P01")
@pytest.mark.parametrize("how", ["squash", "commits"])
async def test_no_commit_holds_what_a_filter_of_the_users_would_have_changed(user: User, how: str):
    user.git("config", "filter.x.clean", "tr a-z n-za-m")
    user.git("config", "filter.x.smudge", "tr a-z n-za-m")
    (user.repository / ".gitattributes").write_text("*.enc filter=x\n")
    (user.repository / "s.enc").write_text("one\ntwo\nthree\n")
    user.commit("A secret")
    tip, before = user.git("rev-parse", "main"), bytes_of(user)
    task = await made(user, ("write", {"path": "t.enc", "content": "plain words\n"}))
    refused = await user.goose("apply", task, "--all", "--yes", "--how", how)
    assert refused.code == 2 and "t.enc" in refused.err and "filter 'x'" in refused.err, refused
    assert user.git("rev-parse", "main") == tip and bytes_of(user) == before
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert (user.repository / "t.enc").read_text() == "plain words\n"
    user.git("add", "t.enc")
    assert user.git("show", ":t.enc") == "cynva jbeqf\n", "the user's git runs the filter"


@pytest.mark.case("P01")
@pytest.mark.parametrize("autocrlf", ["input", "true"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
async def test_line_ends_that_git_forgives_stay_as_they_are(user: User, autocrlf: str, ends: str):
    user.git("config", "core.autocrlf", autocrlf)
    user.git("config", "core.safecrlf", "false")
    place = user.repository / "old.py"
    place.write_bytes(LINES.replace("\n", ends).encode())
    user.git("add", "-A")
    assert user.git("status", "--porcelain") == ""
    before = bytes_of(user)
    task = await made(user, in_shell("sed -i 's/^line 5\\b/line five/' old.py"))
    applied = await user.goose("apply", task, "--all", "--yes")
    assert applied.code == 0, applied
    assert place.read_bytes() == LINES.replace("line 5\n", "line five\n").replace("\n", ends).encode()
    await undone(user, task, before)


@pytest.mark.case("P01")
async def test_a_file_with_mixed_ends_gets_the_change_and_keeps_the_rest(user: User):
    user.git("config", "core.autocrlf", "input")
    place = user.repository / "old.py"
    mixed = LINES.replace("line 20\n", "line 20\r\n").replace("line 21\n", "line 21\r\n").encode()
    place.write_bytes(mixed)
    user.git("add", "-A")
    before = bytes_of(user)
    task = await made(user, edited("old.py", "line 5\n", "line five\n"))
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert place.read_bytes() == mixed.replace(b"line 5\n", b"line five\n")
    await undone(user, task, before)


# Work that is not committed


@pytest.mark.parametrize("how", ["worktree", "squash"])
async def test_uncommitted_work_elsewhere_in_the_file_is_merged_named_and_given_back(user: User, how: str):
    task = await made(user, edited("old.py", "line 5\n", "line five\n"))
    place = user.repository / "old.py"
    mine = LINES.replace("line 25\n", "my line\n")
    place.write_text(mine)
    before = bytes_of(user)
    asked = await user.goose("apply", task, "--all", "--how", how, stdin="n\n")
    assert "old.py" in asked.out + asked.err and "uncommitted" in asked.out + asked.err, asked
    assert bytes_of(user) == before
    applied = await user.goose("apply", task, "--all", "--yes", "--how", how)
    assert applied.code == 0 and "uncommitted changes in old.py" in applied.out, applied
    assert place.read_text() == mine.replace("line 5\n", "line five\n")
    if how == "squash":
        assert user.git("show", "main:old.py") == LINES.replace("line 5\n", "line five\n")
        assert user.git("diff", "--numstat").split() == ["1", "1", "old.py"]
        return
    await undone(user, task, before)


@pytest.mark.parametrize("how", ["worktree", "squash"])
async def test_uncommitted_work_in_the_same_lines_is_refused_and_nothing_is_changed(user: User, how: str):
    task = await made(user, edited("old.py", "line 5\n", "line five\n"))
    (user.repository / "old.py").write_text(LINES.replace("line 5\n", "my line\n"))
    before = bytes_of(user)
    refused = await user.goose("apply", task, "--all", "--yes", "--how", how)
    assert refused.code == 2 and "uncommitted work in old.py" in refused.err, refused
    assert bytes_of(user) == before


async def test_what_the_user_did_after_an_apply_stays_when_it_is_taken_back(user: User):
    task = await made(user, edited("old.py", "line 5\n", "line five\n"))
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    place = user.repository / "old.py"
    place.write_text(place.read_text().replace("line 25\n", "my line\n"))
    assert (await user.goose("apply", task, "--undo", "--yes")).code == 0
    assert place.read_text() == LINES.replace("line 25\n", "my line\n")


# Odd beginnings


async def test_a_branch_may_be_called_as_the_task_is(user: User):
    task = await made(user, edited("old.py", "line 5\n", "line five\n"))
    (user.repository / "old.py").write_text(LINES.replace("line 25\n", "line XXV\n"))
    user.commit("Meanwhile")
    user.git("branch", f"task-{task}")
    applied = await user.goose("apply", task, "--all", "--yes", "--how", "squash", "--into", f"task-{task}")
    assert applied.code == 0, applied
    both = LINES.replace("line 5\n", "line five\n").replace("line 25\n", "line XXV\n")
    assert user.git("show", f"task-{task}:old.py") == both


async def test_the_history_of_a_shallow_clone_is_enough_for_a_forecast(user: User):
    user.commit("Meanwhile")
    shallow = user.root / "shallow"
    user.git("clone", "-q", "--depth", "1", f"file://{user.repository}", str(shallow))
    made_there = []
    for old in ("line 5\n", "line 25\n", "line 25\n"):
        new = f"{old.strip()} of {len(made_there)}\n"
        async with answered(user, [calls(PLAN, edited("old.py", old, new)), calls(PLAN_DONE), *DONE], config='mode = "auto"'):
            done = await user.goose("run", "-t", "Do it well", "--output-format", "json", cwd=shallow)
        assert done.code == 0, done
        made_there.append(done.json["session_id"])
    found = await user.goose("task", "conflicts", "--json", cwd=shallow)
    assert [{each["one"], each["other"]} for each in found.json] == [set(made_there[1:])], found


# Drivers


async def test_a_merge_driver_of_the_users_is_not_run_and_that_is_said(user: User):
    told = user.root / "ran"
    user.git("config", "merge.npm.driver", f"touch {told}; true")
    (user.repository / ".gitattributes").write_text("*.py merge=npm\n")
    user.commit("A driver")
    task = await made(user, edited("old.py", "line 5\n", "line five\n"))
    (user.repository / "old.py").write_text(LINES.replace("line 25\n", "line\n"))
    user.commit("Meanwhile")
    applied = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert applied.code == 0 and "old.py" in applied.out and "merge driver" in applied.out, applied
    assert not told.exists() and "line five" in Path(user.repository / "old.py").read_text()


async def test_merge_attributes_of_the_branch_count_for_what_lands(user: User):
    (user.repository / ".gitattributes").write_text("old.py merge=union\n")
    user.commit("A union")
    task = await made(user, edited("old.py", "line 5\n", "line five\n"))
    (user.repository / "old.py").write_text(LINES.replace("line 5\n", "line V\n"))
    user.commit("Meanwhile")
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash")).code == 0
    text = (user.repository / "old.py").read_text()
    assert "line five\n" in text and "line V\n" in text and "<<<<" not in text
