"""The app in a real terminal: start, hostile text, leaving; and where it will not start."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tui.changed import change_set, file_change
from tui.harness import ReplayWorker
from tui.recorded import Log, call, coupon, plan, prompt, reply, started, tool
from tui.terminal import Terminal, environment

from goose_py.protocol import events as ev
from goose_py.protocol.codec import encode
from goose_py.protocol.deltas import TextDelta, ThinkingDelta, ToolOutput
from goose_py.protocol.messages import ModelRef
from goose_py.tui.terminal import is_slow_link, needs_ascii, palette_of, refusal

ATTACH = str(Path(__file__).with_name("attach.py"))
ATTACKS = {
    "clipboard": "\x1b]52;c;T1dORUQ=\x1b\\",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;file:///etc/passwd\x1b\\click\x1b]8;;\x1b\\",
    "clear": "\x1b[3J\x1b[2J",
    "report": "\x1b[6n\x1b[5n",
    "device control": "\x1bP$qm\x1b\\",
    "c1": "\x9b31mred\x9d0;owned\x9c",
    "return": "safe\rrm -rf /",
    "backspace": "rm\b\bls",
    "markup": "[@click=app.quit]x[/] [link=file:///]y[/] [/] [red",
    "markdown": "![img](http://127.0.0.1:9/x.png) [go](javascript:alert(1)) <b>&#27;]0;owned&#7;&#x9b;31m</b>",
    "direction": "abc\u202edcba\u2066",
    "tags": "ok\U000e0041\U000e0042\u200b",
}
HOSTILE = " ".join(ATTACKS.values())
FORBIDDEN = (
    rb"\x1b\]52;c;T1dORUQ",
    rb"\x1b\]0;owned",
    rb"\x1b\]8;",
    rb"\x1b\[3J",
    rb"\x1b\[[56]n",
    rb"\x1bP\$qm",
    rb"\xc2\x9b",
    rb"\xc2\x9d",
    rb"safe\r",
    rb"\x08",
    "\u202e".encode(),
    "\u2066".encode(),
    "\u200b".encode(),
    "\U000e0041".encode(),
)


def hostile_log() -> list[ev.Record]:
    made = call("k1", "shell", command=HOSTILE)
    named = call("k2", f"tool{HOSTILE}", path=HOSTILE)
    log = Log().add(
        started(title=HOSTILE, workspace=f"/w/{HOSTILE}", repository=f"/r/{HOSTILE}", branch=HOSTILE, base_branch=HOSTILE),
        ev.ModelSet(model=ModelRef(provider=HOSTILE, model=HOSTILE)),
        prompt(HOSTILE),
        ev.TurnStarted(turn=1),
        ev.ExtensionChanged(extension=HOSTILE, state="failed", detail=HOSTILE),
        reply(f"{HOSTILE}\n\n- {HOSTILE}\n\n```python\n{HOSTILE}\n```\n\n> {HOSTILE}\n", made, named, thinking=HOSTILE),
        ev.PlanProposed(plan=plan("in_progress", "failed", titles=(HOSTILE, HOSTILE + "2"))),
        ev.PlanStepStarted(index=0, title=HOSTILE),
        *tool(made, HOSTILE),
        *tool(named, HOSTILE, failed=True),
        ev.Warned(text=HOSTILE),
        ev.ModelRetried(attempt=1, delay=1.0, reason=HOSTILE),
        ev.VerificationFinished(command=HOSTILE, exit_code=1, tree=None, output=HOSTILE),
        ev.ChangesRecorded(tree_before="a" * 40, tree_after="b" * 40, files=1, warnings=(HOSTILE,)),
        prompt(HOSTILE, "p2", delivery="queue"),
        ev.ApprovalRequested(approval_id="a1", call=call("k3", "shell", command=HOSTILE), reason=HOSTILE, patterns=(HOSTILE,)),
    )
    return log.records


def leaked(raw: bytes, attacks: tuple[bytes, ...]) -> list[bytes]:
    """The attacks that are in what reached the terminal, but for what Textual itself writes to set the terminal up."""
    return [pattern for pattern in attacks if re.search(pattern, raw)]


@pytest.mark.case("A34")
@pytest.mark.case("A35")
@pytest.mark.case("A36")
async def test_nothing_that_a_terminal_would_obey_reaches_it_from_foreign_text(socket: Path, tmp_path: Path):
    worker = ReplayWorker(socket, hostile_log())
    await worker.start()
    _, files = change_set(file_change(f"src/{HOSTILE.replace('/', '_')}.py", "x\n", f"{HOSTILE}\n", flags=("hidden_unicode",)))
    (tmp_path / "files").write_bytes(encode(tuple(files.values())))
    terminal = Terminal(140, 50)
    try:
        await terminal.start(ATTACH, str(socket), str(tmp_path / "files"), env=environment(OTHER_TITLE=HOSTILE))
        await terminal.until(lambda: "Permission" in terminal.text)
        begun = len(terminal.raw)
        worker.emit(ThinkingDelta(HOSTILE), TextDelta(HOSTILE), ToolOutput(call_id="k3", text=HOSTILE))
        await terminal.until(lambda: "owned" in terminal.text)
        terminal.press(b"\x1b[D\x1b[Bs")  # another pattern, another answer; then allow for the task
        await worker.received(1)
        worker.emit(
            ev.ApprovalResolved(approval_id="a1", allowed=True, by="user"), ev.TurnEnded(outcome="failed", detail=HOSTILE)
        )
        await terminal.until(lambda: "the agent failed" in terminal.text)
        terminal.press(b"\x0f")  # expand everything
        await terminal.until(lambda: "told the model" in terminal.text or "ctrl+o fold" in terminal.text)
        terminal.press(b"\x1b[5~")
        terminal.press(b"\x1bOQ")
        await terminal.until(lambda: "NEEDS YOU 1" in terminal.text)
        terminal.press(b"q")
        await terminal.until(lambda: "NEEDS YOU 1" not in terminal.text)
        terminal.press(b"\x1bOR")
        await terminal.until(lambda: "hunk 1 of 1" in terminal.text)
        assert "\\x1b]0;owned" in terminal.text
        raw = bytes(terminal.raw[begun:])
        assert leaked(raw, FORBIDDEN) == []
        terminal.press(b"\x11")
        assert await terminal.ended() == 0
        assert leaked(bytes(terminal.raw), FORBIDDEN[:8]) == []
    finally:
        await terminal.close()
        await worker.stop()


async def test_leaving_restores_the_terminal_and_says_how_to_come_back(socket: Path, tmp_path: Path):
    worker = ReplayWorker(socket, coupon("edit"))
    await worker.start()
    (tmp_path / "files").write_bytes(b"[]")
    terminal = Terminal(80, 24)
    try:
        await terminal.start(ATTACH, str(socket), str(tmp_path / "files"), env=environment())
        await terminal.until(lambda: "Waiting for the model" in terminal.text)
        terminal.press(b"hello")
        await terminal.until(lambda: "hello" in terminal.text)
        terminal.press(b"\r")
        sent = await worker.received(1)
        assert sent[0].parts[0].text == "hello"  # type: ignore[union-attr]
        terminal.press(b"\x11")
        assert await terminal.ended() == 0
        assert b"\x1b[?1049l" in terminal.raw and b"\x1b[?25h" in terminal.raw
        assert b"goes on working without a screen" in terminal.raw
        assert len(worker.commands) == 1
    finally:
        await terminal.close()
        await worker.stop()


async def test_no_color_sends_no_color(socket: Path, tmp_path: Path):
    worker = ReplayWorker(socket, coupon("edit"))
    await worker.start()
    (tmp_path / "files").write_bytes(b"[]")
    terminal = Terminal(120, 35)
    try:
        await terminal.start(ATTACH, str(socket), str(tmp_path / "files"), env=environment(NO_COLOR="1", GOOSE_PALETTE="mono"))
        await terminal.until(lambda: "Waiting for the model" in terminal.text)
        terminal.press(b"\x11")
        assert await terminal.ended() == 0
        codes = re.findall(rb"\x1b\[([0-9;]*)m", bytes(terminal.raw))
        colored = [code for code in codes if re.search(rb"(^|;)(3[0-7]|4[0-7]|9[0-7]|10[0-7]|38|48)(;|$)", code)]
        assert colored == []
    finally:
        await terminal.close()
        await worker.stop()


@pytest.mark.parametrize(
    ("env", "stdin", "stdout", "said"),
    [
        ({"TERM": "xterm"}, True, True, None),
        ({"TERM": "dumb"}, True, True, "TERM=dumb cannot position text"),
        ({}, True, True, "TERM is not set"),
        ({"TERM": "xterm"}, False, True, "Standard input is not a terminal"),
        ({"TERM": "xterm"}, True, False, "Standard output is not a terminal"),
    ],
)
def test_where_there_is_no_terminal_a_sentence_says_so(env: dict[str, str], stdin: bool, stdout: bool, said: str | None):
    found = refusal(env, stdin_is_terminal=stdin, stdout_is_terminal=stdout)
    assert found is None if said is None else found is not None and said in found and "goose-py run" in found


@pytest.mark.parametrize(
    ("env", "theme", "palette"),
    [
        ({"TERM": "xterm-256color"}, "auto", "dark"),
        ({"TERM": "xterm-256color", "COLORFGBG": "0;15"}, "auto", "light"),
        ({"TERM": "vt100"}, "auto", "ansi"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "light", "light"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "light", "mono"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "auto", "dark"),
    ],
)
def test_the_palette_follows_the_terminal_and_the_configuration(env: dict[str, str], theme: str, palette: str):
    assert palette_of(env, theme) == palette


def test_glyphs_and_pace_follow_the_terminal():
    assert needs_ascii({}, "ascii") and not needs_ascii({}, "utf-8") and needs_ascii({"TERM": "linux"}, "utf-8")
    assert is_slow_link({"SSH_TTY": "/dev/pts/1"}) and not is_slow_link({})


def imported(code: str) -> set[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_way_in_loads_no_textual_and_the_app_no_sdk():
    assert not {"textual", "rich"} & imported("import goose_py.tui.run, goose_py.tui.terminal")
    heavy = {"anthropic", "openai", "mcp", "git", "httpx2", "keyring", "pydantic", "markdown_it", "pygments"}
    assert not heavy & imported("import goose_py.tui.app")
