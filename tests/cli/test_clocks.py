"""Clocks that somebody set: what was written down by one is not waited for by another."""

import json
import time

import pytest
from command import answered


@pytest.mark.case("P20")
async def test_a_wait_that_was_written_down_while_the_clock_was_a_year_ahead_holds_nobody_up(user):
    async with answered(user, [{"text": "Hello.", "repeat": 0}]):
        assert (await user.goose("task", "list")).code == 0
        ahead = time.time() + 365 * 86_400
        gate = user.sockets / "gate-anthropic"
        for kept in ({"closed_until": ahead + 30, "written_at": ahead}, {"closed_until": ahead}):
            gate.write_text(json.dumps(kept))
            gate.chmod(0o600)
            ended = await user.goose("run", "-t", "Hello?", "--output-format", "json")
            assert ended.code == 0 and ended.json["result"] == "Hello.", ended
            assert 0 < ended.json["seconds"] < 600
