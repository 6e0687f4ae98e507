"""What is said of the sandbox is what holds, to the model and to people; a weaker one is never taken silently."""

import asyncio
import json
import re
import shutil
import sys

import pytest
from command import GOOSE, Ended, answered

FOUND_CHECKS = True

DONE = [{"text": "Fine."}] * 3


def told(server) -> str:
    found = re.search(r"Sandbox of commands: (.*?)\\n", json.dumps(server.requests[0].body))
    assert found is not None
    return found[1]


@pytest.mark.case("S13")
async def test_the_model_and_doctor_are_told_the_same_of_what_was_granted(user):
    docs = user.root / "docs"
    docs.mkdir()
    user.env = {**user.env, "GH_TOKEN": "ghx-4f9a1c77d02b4e5f"}
    config = f'[sandbox]\nreadable = ["{docs}"]\nallow_hosts = ["files.example.org"]\nenv = ["GH_*"]\n'
    async with answered(user, DONE, config=config) as server:
        await user.goose("run", "-t", "Look")
        doctor = await user.goose("doctor")
    for said in (told(server), doctor.out):
        assert "reach of the network only files.example.org" in said and str(docs) in said
        assert "They get of the user's variables: GH_TOKEN." in said and "no network" not in said


@pytest.mark.case("S13")
async def test_where_nothing_was_granted_that_is_said(user):
    async with answered(user, DONE) as server:
        await user.goose("run", "-t", "Look")
    assert "can change only the task's workspace" in told(server) and "have no network" in told(server)
    assert "variables" not in told(server)


async def without_namespaces(user, *args: str) -> Ended:
    """The command on a machine that has bubblewrap and forbids it what it needs."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    process = await asyncio.create_subprocess_exec(
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(GOOSE), *args,
        cwd=user.repository, env=user.environment(), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.mark.case("S15")
@pytest.mark.skipif(sys.platform != "linux" or shutil.which("bwrap") is None, reason="needs Linux and bubblewrap")
async def test_a_weaker_sandbox_is_said_and_what_is_installed_is_not_to_be_installed(user):
    async with answered(user, DONE, config="checks = []"):
        doctor = await without_namespaces(user, "doctor")
        if "Sandbox: partial" not in doctor.out:
            pytest.skip(f"NOT TESTED: {doctor.out}")
        ended = await without_namespaces(user, "run", "-t", "Look")
        accepted = await without_namespaces(user, "run", "-t", "Look", "--sandbox", "partial")
        refused = await without_namespaces(user, "run", "-t", "Look", "--sandbox", "full")
    assert ended.code == 0 and ended.err.count("! Sandbox: partial (landlock). A stronger one was not found") == 1
    assert accepted.code == 0 and "! Sandbox" not in accepted.err
    assert refused.code == 3 and "install bubblewrap" not in refused.err and "let bubblewrap make namespaces" in refused.err
