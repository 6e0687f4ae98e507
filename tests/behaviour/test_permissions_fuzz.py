"""What the strict reader accepts is compared with what real Bash runs.

`GOOSE_PY_FUZZ_SECONDS` prolongs the run (CI takes a few seconds, hours are for hands)."""

import os
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from goose_py.permissions.shell import Command, parse, read_script

_SECONDS = float(os.environ.get("GOOSE_PY_FUZZ_SECONDS", "3"))
_SEED = int(os.environ.get("GOOSE_PY_FUZZ_SEED", "0")) or None

# Every external program lands in command_not_found_handle, every builtin that matters in a function of the same name;
# each notes its argv, NUL-separated, on descriptor 9 and returns the status under test.
# File name patterns are accepted as what they are, so Bash is told to leave them so.
_DRIVER = r"""
PATH=/nonexistent
builtin set -f
note() { builtin printf '%s\0' C "$#" "$@" >&9; return $status; }
command_not_found_handle() { note "$@"; }
for name in echo cd test printf exec eval true false set export source . : alias unalias read trap type umask wait \
  command declare local unset shift kill jobs hash dirs pushd popd let; do
  builtin eval "function $name { note '$name' \"\$@\"; }" 2>/dev/null
done
builtin unset name
while IFS= builtin read -r -d '' folder && IFS= builtin read -r -d '' text; do
  for status in 0 1; do
    ( builtin cd "$folder"; builtin eval "$text"; builtin wait ) </dev/null >/dev/null 2>&1
  done
  builtin printf 'E\0' >&9
done
"""

_PIECES = [
    "a", "b", "echo", "cd", "f", "x1", "-n", "--flag=v", "a=b", "A=1", "A='q r'", "1", "2", "10", "0x1f", "-1", ".", "..",
    "./x", "/x/y", "HEAD~1", "HEAD^", "~", "~/x", "@{u}", "a#b", "#", "#c", "%1", "+x", ",", ":", "a:b", "@", "_",
    "'", '"', "'q'", '"q"', "'a b'", '"a b"', "''", '""', "'a'b", 'a"b"', "'\\'", '"\\\\"', '"\\""', '"a\\|b"', '"a\\.b"',
    '"$x"', '"$"', "$x", "${x}", "$(a)", "`a`", "$((1))", "$'x'", '$"x"', "$", "\\", "\\a", "\\ ", "\\\n",
    " ", " ", " ", " ", " ", "  ", "\t", "\n", "\n\n", "\r", "\x0b",
    "&&", "||", ";", "|", "|&", "&", ";;", "!", "(", ")", "{", "}", "((", "))", "[[", "]]", "[", "]",
    ">", ">>", "<", ">f", "> g", "2>g", "2>&1", ">&2", "&>g", "&>>g", ">|g", ">&g", "<f", "<<", "<<<", "<&-", "<>f",
    "<<'E'", " <<'E'\n", "\nE\n", "\nE", "E", "'E'", '<<"E"', "<<E", "<<-'E'", "a <<'E'\nb $(a)\nE\n",
    "{a,b}", "{1..2}", "*", "?", "*.py", "!!", "^a^b", "if", "then", "fi", "for", "in", "do", "done", "time", "coproc",
    "function", "case", "esac", "while", "select", "until", "é", "'é'", '"é"', "\u00a0", "\u202e", "\u200b", "=", "==", "=~",
]  # fmt: skip


def _random_text(dice: random.Random) -> str:
    if dice.random() < 0.5:
        # Plausible commands with one oddity: most of these are accepted, so most of the comparing happens here.
        words = [dice.choice(["a", "b", "echo", "cd"])]
        for _ in range(dice.randrange(6)):
            words.append(dice.choice(_PIECES))
        return " ".join(words)
    return "".join(dice.choice(_PIECES) for _ in range(dice.randrange(1, 9)))


def _run_in_bash(texts: list[str], base: Path) -> list[tuple[set[tuple[str, ...]], set[str]]]:
    """For each text the argvs that Bash ran (with every command succeeding, then failing) and the files it made."""
    folders = [base / str(number) for number in range(len(texts))]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "f").write_text("")
    payload = b"".join(f"{folder}\0{text}\0".encode() for folder, text in zip(folders, texts, strict=True))
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as notes:
        bash = subprocess.Popen(
            ["/bin/bash", "--norc", "--noprofile", "-c", _DRIVER.replace(">&9", f">&{writing}")],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(writing,),
            env={"LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        os.close(writing)
        assert bash.stdin is not None
        feeder = threading.Thread(target=lambda: (bash.stdin.write(payload), bash.stdin.close()))
        feeder.start()
        raw = notes.read()
        feeder.join()
        bash.wait()
    results: list[tuple[set[tuple[str, ...]], set[str]]] = []
    notes_left = iter(raw.decode("utf-8", "replace").split("\0"))
    for folder in folders:
        ran: set[tuple[str, ...]] = set()
        while next(notes_left) == "C":
            ran.add(tuple(next(notes_left) for _ in range(int(next(notes_left)))))
        made = {entry.name for entry in folder.iterdir()} - {"f"}
        results.append((ran, made))
    return results


def _accepted(text: str) -> tuple[Command, ...] | None:
    commands = read_script(text, parse(text))
    return commands if isinstance(commands, tuple) else None


@pytest.mark.timeout(0)
def test_bash_runs_nothing_but_what_was_read_in_an_accepted_command(tmp_path: Path) -> None:
    seed = _SEED or random.SystemRandom().randrange(1 << 32)
    dice = random.Random(seed)
    deadline = time.monotonic() + _SECONDS
    generated = compared = 0
    while time.monotonic() < deadline:
        batch: dict[str, tuple[Command, ...]] = {}
        while len(batch) < 200:
            generated += 1
            text = _random_text(dice)
            commands = _accepted(text)
            if commands:
                batch[text] = commands
        base = tmp_path / str(compared)
        for (text, commands), (ran, made) in zip(batch.items(), _run_in_bash(list(batch), base), strict=True):
            read = {command.argv for command in commands}
            redirects = [redirect for command in commands for redirect in command.redirects]
            files = {os.path.normpath(redirect.target) for redirect in redirects if redirect.writes}
            assert ran <= read, f"seed {seed}: {text!r} was read as {read} and ran {ran}"
            assert made <= files, f"seed {seed}: {text!r} was read to write {files} and made {made}"
        compared += len(batch)
        shutil.rmtree(base)
    print(f"seed {seed}: {generated} generated, {compared} accepted and compared")
    assert compared >= 200
