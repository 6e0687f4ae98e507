"""Offline means offline: in a network namespace with nothing but the model's endpoint, no other connection is tried."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

SCENARIO = Path(__file__).parent.parent / "offline.py"


def namespace() -> list[str]:
    """A command that runs another one without a network."""
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]


async def run(*argv: str, seconds: float) -> tuple[int | None, str, str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )
    async with asyncio.timeout(seconds):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.case("U32")
async def test_nobody_but_the_models_endpoint_is_ever_contacted(tmp_path):
    code, _, err = await run(*namespace(), "true", seconds=10)
    if code != 0:
        message = f"NOT PROVEN: there is no network namespace here ({err.strip()}): run it as root, or allow user namespaces."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    code, out, err = await run(*namespace(), sys.executable, str(SCENARIO), str(tmp_path), seconds=180)
    assert code == 0, err
    found = json.loads(out.splitlines()[-1])
    assert found["control"]["unreachable"] >= 2, "an attempt to reach the world is counted here"
    used = found["use"]
    assert used["objections"] == []
    assert {name: ended for name, ended in used["codes"].items() if ended not in (0, 1)} == {}
    assert used["codes"]["run -t Take the discount off"] == 0
    assert used["connections"] > 0 and used["opened"] == used["connections"], "every connection went to the model's endpoint"
    assert used["datagrams"] == 0, "not even a name is looked up"
    assert used["unreachable"] == 0
