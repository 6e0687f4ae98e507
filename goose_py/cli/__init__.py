"""The command line: arguments become settings and calls of the composition root, ends become exit codes. No logic.

Commands are imported when they are called, so that `--help` and completion cost nothing but click.
"""

import sys
from collections.abc import Sequence

EXIT_USAGE = 2


def run_command(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. Expected errors are one sentence on stderr."""
    import click

    from goose_py.cli.group import root
    from goose_py.protocol.errors import GooseError

    try:
        result = root.main(args=list(arguments), prog_name="goose-py", standalone_mode=False)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.Abort as ending:
        # click takes every EOFError for the end of input, also that of a damaged bytecode file.
        if isinstance(ending.__cause__, EOFError):
            return _report_bug(ending.__cause__)
        print("Interrupted.", file=sys.stderr)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except GooseError as error:
        from goose_py.protocol.safe_text import safe_text

        print(f"goose-py: {safe_text(str(error))}", file=sys.stderr)
        return getattr(error, "exit_code", EXIT_USAGE)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): that is their right, and no failure.
        sys.stdout = None
        return 0
    except Exception as bug:  # noqa: BLE001 - the root of the program: nobody above could say it better
        return _report_bug(bug)
    return result if isinstance(result, int) else 0


def _report_bug(bug: Exception) -> int:
    """A bug is ours: the person gets a sentence and a file to send, the file gets the rest."""
    from goose_py.actions.setup.crash_report import write_report

    where = write_report(bug)
    print(
        f"goose-py: a bug in goose-py ended this command ({type(bug).__name__}). The details are in {where}.", file=sys.stderr
    )
    return 1
