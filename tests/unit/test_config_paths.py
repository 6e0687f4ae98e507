"""Where things are kept, from an environment that is handed in."""

import os
from pathlib import Path

import pytest

from goose_py.config.paths import Paths, private_folder, resolve

HOME = Path("/home/u")


def paths(env: dict[str, str], platform: str = "linux") -> Paths:
    return resolve(env, home=HOME, platform=platform)


def test_xdg_defaults() -> None:
    assert paths({}) == Paths(
        config=HOME / ".config/goose-py",
        data=HOME / ".local/share/goose-py",
        state=HOME / ".local/state/goose-py",
        cache=HOME / ".cache/goose-py",
        runtime=HOME / ".local/state/goose-py/run",
    )
    assert paths({}, "darwin").cache == HOME / "Library/Caches/goose-py"


def test_xdg_variables_are_followed_but_for_sockets() -> None:
    found = paths(
        {
            "XDG_CONFIG_HOME": "/c",
            "XDG_DATA_HOME": "/d",
            "XDG_STATE_HOME": "/s",
            "XDG_CACHE_HOME": "/k",
            "XDG_RUNTIME_DIR": "/r",
        }
    )
    assert [str(getattr(found, name)) for name in found.__struct_fields__] == [
        "/c/goose-py", "/d/goose-py", "/s/goose-py", "/k/goose-py", "/s/goose-py/run",
    ]  # fmt: skip


def test_one_variable_moves_everything_beneath_one_root() -> None:
    found = paths({"GOOSE_PY_HOME": "~/g", "XDG_CONFIG_HOME": "/c"})
    assert found.config_file == HOME / "g/config/config.toml"
    assert {str(getattr(found, name).parent) for name in found.__struct_fields__} == {"/home/u/g"}


@pytest.mark.parametrize("value", ["./.app", ".app", "", "../x"])
def test_a_relative_root_is_ignored_because_the_folder_we_start_in_may_be_hostile(value: str) -> None:
    assert paths({"GOOSE_PY_HOME": value, "XDG_CONFIG_HOME": value}) == paths({})


def test_folders_are_made_private_under_any_umask_and_open_ones_are_closed(tmp_path: Path) -> None:
    made = resolve({"GOOSE_PY_HOME": str(tmp_path / "new" / "root")}, home=tmp_path, platform="linux")
    loose = tmp_path / "loose"
    loose.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        made.make()
        private_folder(loose)
    finally:
        os.umask(before)
    for folder in (made.config, made.data, made.state, made.cache, made.runtime, loose):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
