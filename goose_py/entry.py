"""The console script. It answers `--version` before anything is imported: that is what scripts ask most."""

import gc
import sys

GC_THRESHOLD = 20_000
"""New objects between two looks for cycles. Python's own 700 looks a hundred times while modules are loaded, which finds
nothing and is a twelfth of the time to the first request."""


def main() -> None:
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from goose_py import __version__

        print(f"goose-py {__version__}")
        return
    gc.set_threshold(GC_THRESHOLD)
    from goose_py.cli import run_command

    sys.exit(run_command(arguments))
