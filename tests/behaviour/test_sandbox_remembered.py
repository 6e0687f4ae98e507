"""A verdict that was found once is taken again, and never where anything that it depends on is different."""

import os
import platform
import sys
from pathlib import Path

import pytest

from goose_py.sandbox.bubblewrap import Bubblewrap
from goose_py.sandbox.detection import FoundSandbox, find_sandbox
from goose_py.sandbox.policy import Level
from goose_py.sandbox.probe_cache import Verdict, circumstances, recall, remember
from goose_py.sandbox.toolchains import python_roots

NOW = {"kernel": "1", "program": "2"}
VERDICT = Verdict("bubblewrap", frozenset({"--size"}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "verdict.json"


def test_a_verdict_holds_under_the_same_circumstances_only(file: Path) -> None:
    assert recall(file, NOW) is None
    remember(file, NOW, VERDICT)
    assert recall(file, NOW) == VERDICT
    assert file.stat().st_mode & 0o777 == 0o600
    for other in ({**NOW, "kernel": "2"}, {**NOW, "more": ""}, {"kernel": "1"}, {}):
        assert recall(file, other) is None
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"backend": "bubblewrap", "options": []}', b"\xff",
        b'{"circumstances": {}, "backend": 1, "options": []}', b'{"circumstances": {}, "backend": "bubblewrap"}',
        b'{"circumstances": {}, "backend": "bubblewrap", "options": [1]}',
        b'{"circumstances": {}, "backend": "bubblewrap", "options": "--size"}',
    ],
)  # fmt: skip
def test_what_is_no_verdict_of_ours_counts_for_nothing(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o600)
    assert recall(file, {}) is None


def test_a_verdict_that_others_could_have_written_counts_for_nothing(file: Path, tmp_path: Path) -> None:
    remember(file, NOW, VERDICT)
    file.chmod(0o620)
    assert recall(file, NOW) is None
    elsewhere = tmp_path / "elsewhere"
    remember(elsewhere, NOW, VERDICT)
    file.unlink()
    file.symlink_to(elsewhere)
    assert recall(file, NOW) is None
    file.unlink()
    os.mkfifo(file, 0o600)
    assert recall(file, NOW) is None, "and it is not waited for"


def test_what_cannot_be_kept_is_no_fault(tmp_path: Path) -> None:
    remember(tmp_path / "missing" / "verdict.json", NOW, VERDICT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the circumstances of Linux")
def test_the_circumstances_name_this_boot_and_this_container() -> None:
    first = circumstances("linux", version="1")
    assert first == circumstances("linux", version="1") != circumstances("linux", version="2")
    assert len(first["/proc/sys/kernel/random/boot_id"]) == 36 and first["namespace user"].startswith("user:")


@pytest.mark.case("U40")
async def test_the_second_start_takes_the_verdict_again_and_other_circumstances_are_probed(tmp_path: Path) -> None:
    python = Path(sys.executable)

    async def find(now: dict[str, str] | None, interpreter: Path = python) -> FoundSandbox:
        return await find_sandbox(
            platform=sys.platform,
            machine=platform.machine(),
            state=tmp_path,
            python=interpreter,
            readable=python_roots(python, [Path(sys.prefix), Path(sys.base_prefix)]),
            circumstances=now,
        )

    first = await find(NOW)
    if first.level is not Level.FULL:
        pytest.skip(f"NOT TESTED: {first.sentence}")
    nowhere = tmp_path / "no-python"
    # The probe needs an interpreter. Where the verdict is taken again, none is asked for.
    again = await find(NOW, nowhere)
    assert again.sentence == first.sentence
    if isinstance(first.sandbox, Bubblewrap):
        assert isinstance(again.sandbox, Bubblewrap) and again.sandbox.options == first.sandbox.options
    assert (await find({**NOW, "kernel": "2"}, nowhere)).level is Level.NONE
    assert (await find(None, nowhere)).level is Level.NONE, "doctor looks anew"
