"""Processes of our own that outlive us: workers and fork servers."""

import subprocess
import sys
from collections.abc import Mapping, Sequence


def start_detached(*arguments: str, env: Mapping[str, str], pass_fds: Sequence[int], printed: int = subprocess.DEVNULL) -> None:
    """Starts `goose-py ARGUMENTS` in a session of its own, in the root folder, with `printed` as its output and its errors.
    One that ends before us is reaped when the next process is started. Raises OSError.

    Not by the event loop: in Python 3.13 its transports kill what still runs when they are collected.
    """
    subprocess.Popen(
        # -P: a module in the folder we are started in is never imported.
        [sys.executable, "-P", "-m", "goose_py", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=printed,
        stderr=printed,
        cwd="/",
        env=dict(env),
        pass_fds=tuple(pass_fds),
        start_new_session=True,
    )
