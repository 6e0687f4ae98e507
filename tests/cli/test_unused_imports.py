"""What a run does not use it does not load: its tools are called in its own process, and nobody needs the SDK for that."""

from command import CHECK, FIXING, User, answered


def loaded(printed: str) -> set[str]:
    """Top-level packages in what Python prints of its imports."""
    lines = [line for line in printed.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


async def test_a_run_that_edits_and_runs_commands_loads_no_mcp_sdk(user: User):
    user.env = {**user.env, "PYTHONPROFILEIMPORTTIME": "1"}
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Take the discount off", "--check", CHECK, "--output-format", "json")
    assert ended.code == 0 and ended.json["outcome"] == "done", ended.err
    seen = loaded(ended.err)
    assert "goose_py" in seen and "anyio" in seen
    assert not seen & {"mcp", "mcp_types", "pydantic", "starlette", "jsonschema"}
