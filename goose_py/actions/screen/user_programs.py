"""Programs that need the user's own terminal: their editor, their shell."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from goose_py.protocol.errors import UserError


def edited(text: str, name: str, env: Mapping[str, str]) -> str:
    """What the user made of `text` in $VISUAL or $EDITOR (else vi). `name` gives the file its suffix, by which editors know
    the language. Blocks until the editor has ended. Raises UserError where it cannot be started, fails, or leaves something
    that is not UTF-8; the text then stays as it was."""
    editor = env.get("VISUAL") or env.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="goose-py-") as folder:
        file = Path(folder) / (PurePosixPath(name).name or "text")
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        try:
            ended = subprocess.run([*shlex.split(editor), str(file)], env=dict(env), check=False)
        except (OSError, ValueError) as error:
            raise UserError(f"The editor {editor!r} cannot be started: {error}. Set EDITOR to one that is installed.") from None
        if ended.returncode != 0:
            raise UserError(f"The editor {editor!r} ended with exit code {ended.returncode}, so nothing was taken over.")
        try:
            return file.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"What the editor left cannot be read as UTF-8: {error}.") from None


def run_command(command: str, folder: Path, env: Mapping[str, str]) -> int:
    """Runs a command line of the user in `folder` with the terminal, waits for a key where it ended, returns its exit code."""
    shell = env.get("SHELL") or "/bin/sh"
    print(f"$ {command}", flush=True)
    try:
        code = subprocess.run([shell, "-c", command], cwd=folder, env=dict(env), check=False).returncode
    except OSError as error:
        raise UserError(f"The shell {shell!r} cannot be started: {error}.") from None
    except KeyboardInterrupt:
        code = 130
    print(f"[exit code {code}; enter goes back to goose-py]", flush=True)
    try:
        os.read(0, 4096)
    except (OSError, KeyboardInterrupt):
        pass
    return code
