"""A merge that dies by SIGKILL at any moment is, as soon as anybody looks again, either done or has never begun."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / "killed.py"


def deaths(folder: Path, *moments: int) -> dict[str, str]:
    """What became of each, by the moment."""
    command = [sys.executable, str(PROGRAM), str(folder), *map(str, moments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return {name: what for name, _, what in (line.partition(" ") for line in done.stdout.splitlines())}


@pytest.mark.case("R33")
def test_a_merge_that_is_killed_at_any_moment_is_undone_or_finished_with_ref_index_and_files_together(tmp_path: Path):
    found = deaths(tmp_path)
    assert set(found.values()) == {"undone", "merged"}, found
    outcomes = list(found.values())
    assert outcomes == sorted(outcomes, reverse=True), "from one moment on it is done"
    assert outcomes.count("undone") > 20 and outcomes.count("merged") > 3


def test_undoing_it_or_finishing_it_can_be_killed_as_well(tmp_path: Path):
    """While files are put in place, and once only the ref is left to move."""
    assert set(deaths(tmp_path / "back", 20).values()) == {"undone"}
    assert set(deaths(tmp_path / "on", 32).values()) == {"merged"}
