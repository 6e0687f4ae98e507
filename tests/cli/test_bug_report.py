"""A bug of ours, as its user meets it."""

import stat


async def test_a_bug_ends_in_one_sentence_and_a_private_report(user):
    bytecode = user.root / "bytecode"
    user.env = {"PYTHONPYCACHEPREFIX": str(bytecode)}
    assert (await user.goose("models", "list")).code == 0
    (damaged,) = bytecode.rglob("goose_py/cli/models.*.pyc")
    damaged.write_bytes(damaged.read_bytes()[:40])  # as a full disk leaves it
    ended = await user.goose("models", "list")
    assert ended.code == 1 and ended.out == ""
    assert ended.err.strip().splitlines()[-1].startswith("goose-py: a bug in goose-py ended this command (EOFError).")
    assert "Traceback" not in ended.err and "Interrupted" not in ended.err
    (report,) = (user.state / "crashes").iterdir()
    assert str(report) in ended.err and stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "EOFError" in report.read_text()
