"""Logs that something happened to: the damage is said with its place, and one such task costs the others nothing."""

import asyncio
import json

import pytest
from command import FIXING, GOOSE, User, answered


async def a_task(user: User) -> tuple[str, list[bytes]]:
    async with answered(user, [*FIXING, {"text": "Done.", "repeat": 0}]):
        ended = await user.goose("run", "-t", "Take the discount off", "--output-format", "json")
    assert ended.code == 0, ended
    task = ended.json["session_id"]
    return task, (user.state / "tasks" / task / "log.jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.case("P22")
async def test_records_that_are_missing_or_twice_there_are_said_with_their_place_and_no_call_is_sent_twice(user):
    task, lines = await a_task(user)
    log = user.state / "tasks" / task / "log.jsonl"
    call = next(number for number, line in enumerate(lines) if b'"type":"model_replied"' in line and b"tool_call" in line)
    at = len(b"".join(lines[: call + 1]))
    log.write_bytes(b"".join((*lines[: call + 1], lines[call], *lines[call + 1 :])))
    shown = await user.goose("session", "show", task)
    assert shown.code == 0 and f"damaged at byte {at}" in shown.err and "once more" in shown.err, shown.err
    async with answered(user, [{"text": "Fine.", "repeat": 0}]) as server:
        ended = await user.goose("run", "--resume", task, "-t", "Well?", "--output-format", "json")
        assert ended.code == 0 and server.objections == [], ended
        assert any("once more" in warning for warning in ended.json["warnings"]), ended.json["warnings"]
    log.write_bytes(b"".join((*lines[:5], *lines[7:])))
    shown = await user.goose("session", "show", task)
    assert shown.code == 0 and "records are missing: 5 to 6" in shown.err, shown.err
    log.write_bytes(b"".join((*lines[:5], b"{nonsense}\n", *lines[6:])))
    shown = await user.goose("session", "show", task)
    assert shown.err.count("damaged at byte") == 1, "a line that cannot be read is one damage, not two"


@pytest.mark.case("P22")
async def test_an_empty_log_is_no_new_conversation(user):
    task, _ = await a_task(user)
    (user.state / "tasks" / task / "log.jsonl").write_bytes(b"")
    listed = await user.goose("task", "list", "--all", "--json")
    (entry,) = [entry for entry in listed.json if task in json.dumps(entry)]
    assert entry["state"] == "failed" and "is empty" in entry["detail"], entry
    assert "is empty" in (await user.goose("session", "show", task)).err


@pytest.mark.case("P22")
async def test_a_log_of_hundreds_of_megabytes_is_listed_in_little_memory(user):
    task, lines = await a_task(user)
    log = user.state / "tasks" / task / "log.jsonl"
    record = next(json.loads(line) for line in lines if b'"type":"tool_finished"' in line)
    record["event"]["result"]["content"] = [{"type": "text", "text": "x" * 60_000}]
    seq = json.loads(lines[-1])["seq"]
    with log.open("ab") as stream:
        for number in range(5_000):
            stream.write(json.dumps({**record, "seq": seq + 1 + number}, separators=(",", ":")).encode() + b"\n")
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", 'ulimit -v 500000; "$0" task list --all', GOOSE,
        cwd=user.repository, env=user.environment(), stdin=-3, stdout=-1, stderr=-1,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    log.unlink()
    assert process.returncode == 0 and task in out.decode(), err.decode()
