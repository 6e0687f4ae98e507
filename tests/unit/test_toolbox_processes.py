"""A process is known by more than its number."""

import subprocess
import sys

from goose_py.toolbox.processes import ProcessRecord, reap, start_token

SLEEPER = [sys.executable, "-S", "-c", "import time; print('on', flush=True); time.sleep(600)"]


def sleeper() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(SLEEPER, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_the_start_of_a_process_is_told_the_same_every_time_and_not_at_all_once_it_is_gone() -> None:
    process = sleeper()
    try:
        first = start_token(process.pid)
        assert first
        assert start_token(process.pid) == first
        assert start_token(1) != first
    finally:
        process.kill()
        process.wait()
    assert start_token(process.pid) == ""


def test_a_process_that_was_left_behind_is_reaped() -> None:
    process = sleeper()
    record = ProcessRecord(pid=process.pid, started=start_token(process.pid), extension="web")
    assert reap([record]) == (record,)
    assert process.wait(10) == -9
    assert reap([record]) == ()


def test_another_process_with_the_same_number_is_left_alone() -> None:
    process = sleeper()
    try:
        others = [ProcessRecord(pid=process.pid, started=started) for started in ("another boot:1", "")]
        assert reap(others) == ()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
