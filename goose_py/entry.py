"""The console script. It answers `--version` before anything is imported: that is what scripts ask most."""

import gc
import os
import signal
import sys

GC_THRESHOLD = 20_000
"""New objects between two looks for cycles. Python's own 700 looks a hundred times while modules are loaded, which finds
nothing and is a twelfth of the time to the first request."""


def main() -> None:
    _in_utf_8()
    from goose_py.cli import end_output, run_command
    from goose_py.standard_streams import argument, open_standard_streams

    open_standard_streams()
    arguments = [argument(each) for each in sys.argv[1:]]
    if arguments in (["--version"], ["-V"]):
        from goose_py import __version__

        print(f"goose-py {__version__}")
        sys.exit(end_output(0))
    gc.set_threshold(GC_THRESHOLD)
    # A parent that blocks signals hands that on, and neither we nor what we start could be interrupted.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD})
    sys.exit(run_command(arguments))


def _in_utf_8() -> None:
    """Starts again where the locale has another encoding: git and our own files name paths in bytes, and Python would read
    them differently here than elsewhere. What a person types and reads stays in the locale's encoding."""
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", "-P", "-m", "goose_py", *sys.argv[1:]])
