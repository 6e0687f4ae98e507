"""Terminals, pipes, disks and limits that are not what a program hopes for: one sentence each, and the work is kept."""

import asyncio
import errno
import json
import os
import subprocess
from pathlib import Path

import pytest
from command import FIXING, GOOSE, PLAN, User, answered, calls

from goose_py.files import synced
from goose_py.session.log import read_log

TITLE = "Grüße → 🦆"
READING = (("task", "list", "--all"), ("review",), ("session", "show"), ("task", "show"), ("cost",), ("inbox",))


async def shell(user: User, script: str, *arguments: str) -> tuple[int, bytes, str]:
    """`goose-py` is `$0` of the script, and its arguments are `$@`."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, GOOSE, *arguments, cwd=user.repository, env=user.environment(), stdin=-3, stdout=-1, stderr=-1
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err.decode("utf-8", "replace")


async def carried_out(user: User) -> str:
    async with answered(user, [*FIXING[1:2], {"text": TITLE, "repeat": 0}]):
        ended = await user.goose("run", "-t", TITLE, "--output-format", "json")
    assert ended.code == 0, ended
    return ended.json["session_id"]


@pytest.mark.case("P23")
async def test_an_output_that_cannot_hold_every_character_gets_the_others_escaped(user):
    task = await carried_out(user)
    user.env = {"PYTHONIOENCODING": "latin-1"}
    for command in READING:
        named = (*command, task) if command[-1] == "show" else command
        code, out, err = await shell(user, '"$0" "$@"', *named)
        assert code == 0 and not err, (command, err)
        out.decode("latin-1")
    _, out, _ = await shell(user, '"$0" task list --all --json', *())
    assert TITLE in json.dumps(json.loads(out.decode("latin-1")), ensure_ascii=False), "what is escaped says the same"


@pytest.mark.case("P33")
async def test_a_locale_of_another_encoding_is_typed_and_read_in_it_and_nothing_is_stored_mangled(user, tmp_path):
    charmap = Path("/usr/share/i18n/charmaps/ISO-8859-1.gz")
    if not charmap.exists():
        pytest.skip("this machine cannot make a Latin-1 locale")
    subprocess.run(["localedef", "-f", "ISO-8859-1", "-i", "de_DE", tmp_path / "de_DE.ISO-8859-1"], capture_output=True)
    user.env = {"LOCPATH": str(tmp_path), "LANG": "de_DE.ISO-8859-1"}
    (user.repository / "Straße.py").write_text("x = 1\n")
    user.commit("a name that is no ASCII")
    edit = ("edit", {"path": "Straße.py", "old_string": "x = 1", "new_string": "x = 2"})
    async with answered(user, [calls(PLAN, edit), {"text": TITLE, "repeat": 0}]):
        code, out, err = await shell(user, '"$0" run -t "$(printf "Gr\\374\\337e")"')
    assert code == 0 and "Grüße".encode("latin-1") in out, err
    for command in READING:
        if command[-1] != "show":
            code, out, err = await shell(user, '"$0" "$@"', *command)
            assert code == 0 and not err, (command, err)
    _, listed, _ = await shell(user, '"$0" task list --all')
    assert "Grüße".encode("latin-1") in listed, listed
    _, reviewed, _ = await shell(user, '"$0" review')
    assert "Straße.py".encode("latin-1") in reviewed and b"+x = 2" in reviewed, reviewed
    assert (await shell(user, '"$0" apply --all --yes'))[0] == 0
    assert (user.repository / "Straße.py").read_text() == "x = 2\n"


@pytest.mark.case("P23")
@pytest.mark.case("P36")
async def test_an_output_that_takes_nothing_is_said_and_the_work_is_kept(user):
    for end, said in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        async with answered(user, [*FIXING[1:2], {"text": "Done.", "repeat": 0}]):
            code, _, err = await shell(user, f'"$0" run -t "Fix it" {end}')
        assert code == 1 and err.count("could not be written") == 0 and said in err, err
        assert "a bug" not in err and "Traceback" not in err and "Exception ignored" not in err
        for command in READING:
            if command[-1] != "show":
                code, _, err = await shell(user, f'"$0" "$@" {end}', *command)
                assert code == 1 and said in err and err.count("\n") == 1, (command, err)
    tasks = [read_log(folder).records[-1] for folder in (user.state / "tasks").iterdir()]
    assert len(tasks) == 2
    for closed in ("2>&-", ">&- 2>&- <&-"):
        assert (await shell(user, f'"$0" task list {closed}'))[0] in (0, 1)
    code, out, err = await shell(user, 'set -o pipefail; "$0" task list --all | head -1; echo "${PIPESTATUS[@]}"')
    assert out.decode().splitlines()[-1] == "0 0" and not err, (out, err)
    assert "standard input is empty" in (await shell(user, '"$0" run -i - <&-'))[2]


@pytest.mark.case("P23")
async def test_arguments_that_no_program_can_hold_are_answered_and_the_turn_goes_on(user):
    deep = '{"path": ' + "[" * 20_000 + "]" * 20_000 + "}"
    steep = '{"path": ' + "[" * 500 + "]" * 500 + "}"
    long = '{"path": "cart.py", "offset": ' + "9" * 5_000 + "}"
    turns = [calls(("read", {"path": "cart.py"})) if not raw else {"calls": [{"name": "read", "arguments_text": raw}]}
             for raw in (deep, steep, "", long)]  # fmt: skip
    async with answered(user, [*turns, {"text": "I gave up on those.", "repeat": 0}]):
        ended = await user.goose("run", "-t", "Read it", "--output-format", "json")
        assert ended.code == 0 and "gave up on those" in ended.json["result"], ended.out[-3000:]
    log = next((user.state / "tasks").glob("*/log.jsonl")).read_text()
    assert log.count("nested too deep") == 2 and "thousands of digits" in log


@pytest.mark.case("P23")
async def test_a_process_that_may_open_hardly_any_files_says_so(user):
    async with answered(user, [{"text": "Hello.", "repeat": 0}]):
        for command in ("run -t hello", "task list", "doctor", "task start hello"):
            code, _, err = await shell(user, f'ulimit -n 12; "$0" {command}')
            assert "a bug" not in err and "Traceback" not in err, (command, err)
            assert code == 0 or "open files" in err or "open more files" in err, (command, err)


@pytest.mark.case("P23")
def test_a_file_system_that_knows_no_fsync_is_written_to_all_the_same():
    reading, writing = os.pipe()  # fsync of a pipe is EINVAL
    try:
        synced(writing)
        with pytest.raises(OSError, match="Invalid argument") as refused:
            os.fsync(writing)
        assert refused.value.errno == errno.EINVAL
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.case("P36")
async def test_a_home_that_cannot_be_written_to_says_where_else_to_go(user):
    user.env = {"GOOSE_PY_HOME": "/proc/nowhere"}
    code, _, err = await shell(user, '"$0" task list')
    assert code == 2 and "GOOSE_PY_HOME" in err and err.count("\n") == 1, err
