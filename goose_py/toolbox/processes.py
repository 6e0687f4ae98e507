"""Server processes: who they are beyond their number, and how to be rid of those that a killed program left behind."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A child that leads its own session and process group. `started` tells it from a later process with the same pid;
    see `start_token`. Write it to disk when it is told, so that the next start can reap it."""

    pid: int
    started: str
    extension: str = ""


def start_token(pid: int) -> str:
    """When the process started, exactly and for good: on Linux the boot id and field 22 of /proc/PID/stat (clock ticks
    since boot, proc(5)), which no change of the clock moves; elsewhere psutil's creation time. "" where there is none."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return ""
        fields = stat[stat.rindex(b")") + 2 :].split()
        return "" if fields[0] == b"Z" else f"{boot}:{fields[19].decode()}"
    import psutil

    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return ""


def descendants(pid: int) -> tuple[int, ...]:
    """Pids of all living descendants, also of those in other sessions: a group's signal does not reach them."""
    import psutil

    try:
        return tuple(child.pid for child in psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return ()


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that `pid` leads, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def reap(records: Iterable[ProcessRecord]) -> tuple[ProcessRecord, ...]:
    """Kill the groups of those processes that still run, and all that descends from them; the ones that were found.

    A pid that belongs to another process by now is left alone."""
    found = tuple(record for record in records if record.started and start_token(record.pid) == record.started)
    for record in found:
        strays = [(pid, start_token(pid)) for pid in descendants(record.pid)]
        signal_group(record.pid, signal.SIGKILL)
        for pid, started in strays:
            kill_exactly(pid, started)
    return found


def kill_exactly(pid: int, started: str) -> None:
    """Kill the process if it is still the one that began at `started`."""
    if started and start_token(pid) == started:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
