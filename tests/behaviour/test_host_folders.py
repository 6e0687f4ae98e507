"""The folders of our own: private whatever the umask, ours alone, and short enough for the address of a socket."""

import os
from pathlib import Path

import pytest

from goose_py.actions.screen.prompt_history import PromptHistory
from goose_py.bootstrap.host import LONGEST_RUNTIME, Host, _private, short_folder
from goose_py.config.paths import Paths
from goose_py.protocol.errors import UserError
from goose_py.protocol.redact import redactor


def paths_in(root: Path) -> Paths:
    return Paths(config=root / "c", data=root / "d", state=root / "state", cache=root / "cache", runtime=root / "run")


@pytest.mark.case("A39")
def test_folders_are_private_under_an_open_umask_and_open_ones_are_closed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    before = os.umask(0)
    try:
        paths = _private(paths_in(tmp_path))
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (paths.state, paths.cache, paths.runtime)] == [0o700] * 3


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder of another user")
def test_a_folder_of_somebody_else_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(UserError, match="run cannot be used for goose-py's own files: it belongs to another user"):
        _private(paths_in(tmp_path))
    assert (tmp_path / "run").stat().st_mode & 0o777 != 0o700, "and it is left as it is"


def test_a_file_in_the_place_of_a_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(UserError, match="state cannot be used"):
        _private(paths_in(tmp_path))


def test_sockets_lie_in_a_short_private_folder_where_the_usual_one_is_too_deep(tmp_path: Path) -> None:
    deep = paths_in(tmp_path / ("d" * 60) / ("e" * 60))
    first = _private(deep).runtime
    try:
        assert len(str(first)) < LONGEST_RUNTIME and first.stat().st_mode & 0o777 == 0o700
        assert _private(deep).runtime == first, "every process finds the same one"
        first.chmod(0o755)
        second = _private(deep).runtime
        assert second != first, "one that others can enter is not used"
        second.rmdir()
        third = _private(deep).runtime
        assert third.is_dir(), "one that a clean-up took away is made again"
        third.rmdir()
        third.symlink_to(first)
        fourth = short_folder(deep.state / "sockets")
        assert fourth != third and not fourth.is_symlink(), "nor one that somebody put in its place"
        third.unlink()
        fourth.rmdir()
    finally:
        first.rmdir()
    shallow = paths_in(tmp_path)
    assert _private(shallow).runtime == shallow.runtime



@pytest.mark.case("S12")
@pytest.mark.parametrize("folder", ["repo/bin", "repo/deep/bin", "link"])
def test_a_program_of_the_repository_is_never_taken_for_the_users(tmp_path: Path, folder: str) -> None:
    for place in ("repo/bin", "repo/deep/bin", "own"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "git").write_text("#!/bin/sh\n")
        (tmp_path / place / "git").chmod(0o755)
    (tmp_path / "link").symlink_to("repo/bin")
    (tmp_path / "repo" / ".git").mkdir()
    for here in ("repo", "repo/deep", "repo/deep/bin"):
        env = {"PATH": f"{tmp_path / folder}:bin::{tmp_path / 'own'}"}
        host = Host(env, tmp_path / here, tmp_path, paths_in(tmp_path))
        assert host.which("git") == tmp_path / "own" / "git" and host.on_path("git")
    # Where there is no repository, and in one that is the user's whole home, the user's PATH is as it is.
    for here, home in ((Path("/"), tmp_path), (tmp_path / "repo", tmp_path / "repo" / "deep")):
        assert Host(env, here, home, paths_in(tmp_path)).which("git") == tmp_path / folder / "git"


@pytest.mark.case("S16")
def test_a_key_that_is_typed_is_not_in_the_history_of_prompts(tmp_path: Path) -> None:
    history = PromptHistory(tmp_path / "prompts", redactor({"hunter2-hunter2"}))
    history.remember(f"use hunter2-hunter2 and sk-ant-api03-{'a1B2' * 8}, please")
    kept = (tmp_path / "prompts").read_text()
    assert "hunter2" not in kept and "sk-ant-api03" not in kept
    (line,) = history.recall()
    assert line.startswith("use ") and line.endswith(", please")
