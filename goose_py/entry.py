"""The console script. It answers `--version` before anything is imported: that is what scripts ask most."""

import sys


def main() -> None:
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from goose_py import __version__

        print(f"goose-py {__version__}")
        return
    from goose_py.cli import run_command

    sys.exit(run_command(arguments))
