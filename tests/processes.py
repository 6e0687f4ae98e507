"""Processes that a test looks for on the whole machine: each has an argument that nothing else there has."""

import itertools
import os
from pathlib import Path

_numbers = itertools.count(1)


def a_long_time() -> str:
    """Five minutes for `sleep`, in words that no other test and no other run of the tests uses."""
    return f"300.{os.getpid():07d}{next(_numbers):03d}"


def running(program: str, argument: str) -> list[int]:
    """The processes of `program` that have `argument` within one of theirs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if arguments[0].endswith(program.encode()) and any(argument.encode() in each for each in arguments[1:]):
                found.append(int(entry.name))
    return found
