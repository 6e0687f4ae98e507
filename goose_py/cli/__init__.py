"""The command line: arguments become settings and calls of the composition root, ends become exit codes. No logic.

Commands are imported when they are called, so that `--help` and completion cost nothing but click.
"""

import errno
import sys
from collections.abc import Sequence

from goose_py.standard_streams import OutputLost, flush_output

EXIT_USAGE = 2
EXIT_BUG = 1
OF_THE_MACHINE = {
    errno.EMFILE: "this process may not open more files; raise the limit (`ulimit -n 1024`)",
    errno.ENFILE: "the machine has no room for another open file",
    errno.ENOSPC: "there is no space left on the disk; free some and try again. Nothing was lost",
    errno.EDQUOT: "your quota of disk space is used up; free some and try again. Nothing was lost",
    errno.ENOMEM: "there is no memory left",
    errno.EAGAIN: "no further process may be started; end some, or raise the limit (`ulimit -u`)",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "you may not do that there",
    errno.EPERM: "you may not do that there",
    errno.EIO: "the disk does not answer as it should",
}
"""What the system may refuse to any program at any moment: no bug of ours."""


def end_output(code: int) -> int:
    """The exit code, once all that was printed has arrived: `code`, unless it did not."""
    try:
        flush_output()
    except BrokenPipeError:
        return 0  # whoever read it has gone (`| head`): that is their right, and no failure
    except OutputLost as lost:
        print(f"goose-py: {lost}", file=sys.stderr)
        return code or EXIT_BUG
    return code


def run_command(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code. Expected errors are one sentence on stderr."""
    return end_output(_run(arguments))


def _run(arguments: Sequence[str]) -> int:
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
    except (BrokenPipeError, OutputLost):
        return 0  # see `end_output`
    except Exception as error:  # noqa: BLE001 - the root of the program: nobody above could say it better
        return _unforeseen(error)
    return result if isinstance(result, int) else 0


def _unforeseen(error: Exception) -> int:
    """What the machine refused is said; all else is a bug."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, OSError) or error.errno not in OF_THE_MACHINE:
        return _report_bug(error)
    from goose_py.protocol.safe_text import safe_text

    where = f"{error.filename}: " if error.filename else ""
    print(f"goose-py: {safe_text(str(where))}{OF_THE_MACHINE[error.errno]}.", file=sys.stderr)
    return EXIT_BUG


def _report_bug(bug: Exception) -> int:
    """A bug is ours: the person gets a sentence and a file to send, the file gets the rest."""
    from goose_py.actions.setup.crash_report import write_report

    where = write_report(bug)
    print(
        f"goose-py: a bug in goose-py ended this command ({type(bug).__name__}). The details are in {where}.", file=sys.stderr
    )
    return EXIT_BUG
