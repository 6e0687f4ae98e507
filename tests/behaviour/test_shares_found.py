"""Which of the files that git ignores a task shares with its user, found by git's own answer."""

import os
import stat
from pathlib import Path

import pytest
from git_repos import Place

from goose_py.bootstrap.workspace.shares import MOST_FILES, MOST_FOLDERS, MOST_SUBMODULES, Shares, copy_files, find_shares

RULES = ".venv\nnode_modules/\nbuild/\n*.cfg\n*.so\n.env*\n*.pem\n__pycache__/\n.pytest_cache/\nlink\ntarget\n.aws/\nown/\n"
TOKEN = "ghp_" + "a" * 36


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.commit({"a.py": "a\n", "pkg/one/package.json": "{}", "pkg/two/package.json": "{}", ".gitignore": RULES})
    return place


async def found(place: Place, entries: list[str] | None = None, **more) -> Shares:
    worktree = await place.task(f"t{len(list((place.top / 'state').glob('tasks/*')))}")
    wanted = {"env": {}, "home": place.top / "home", "keep_out": (place.top / "state", worktree.path), **more}
    env, home = wanted.pop("env"), wanted.pop("home")
    return await find_shares(worktree, await worktree.base_files(), entries, env, home, **wanted)


def folders(shares: Shares) -> list[str]:
    return [str(share.path) for share in shares.folders]


@pytest.mark.case("H05")
async def test_folders_are_mounted_files_copied_caches_and_secrets_left_out(place: Place) -> None:
    place.write(
        {
            ".venv/lib/x.py": "x", "pkg/one/node_modules/y/index.js": "y", "node_modules/z/index.js": "z", "build/lib.so": "so",
            "fast.so": "so", "local.cfg": "[a]", "pkg/__pycache__/x.pyc": "c", ".pytest_cache/v": "v", ".env": "A=1",
            ".env.example": "A=", "server.pem": "x", "token.cfg": f"[a]\ntoken = {TOKEN}\n", "own/.aws/credentials": "x",
            "new.py": "not ignored",
        }
    )  # fmt: skip
    shares = await found(place)
    assert folders(shares) == [".venv", "build", "node_modules", "own", "pkg/one/node_modules"]
    assert sorted(shares.files) == [".env.example", "fast.so", "local.cfg"]
    assert sorted(shares.secret) == [".env", "server.pem", "token.cfg"]
    assert shares.folders[3].hidden == (".aws/credentials",)
    assert list(shares.sentences()) == [
        "Not shared with the task because it looks like secrets: .env, server.pem, token.cfg (worktree.share brings what it "
        "names)."
    ]


async def test_a_folder_that_only_holds_ignored_files_is_none_that_is_ignored(place: Place) -> None:
    """What the task makes there is its work, and must not land in a layer."""
    place.write({"data/deep/a.cfg": "a", "data/deep/b.so": "b"})
    shares = await found(place)
    assert folders(shares) == [] and sorted(shares.files) == ["data/deep/a.cfg", "data/deep/b.so"]


async def test_worktree_share_adds_takes_away_and_switches_off(place: Place) -> None:
    elsewhere = place.top / "home" / "models"
    elsewhere.mkdir()
    place.write({".venv/x": "x", "build/y": "y", "build/.env": "A=1", ".env": "A=1", "pkg/__pycache__/x": "c", "a.cfg": "a"})
    shares = await found(place, [".env", "!.venv", "~/models", "__pycache__", str(place.top / "missing")])
    assert folders(shares) == [str(elsewhere), "pkg/__pycache__", "build"] and shares.folders[0].source == elsewhere
    assert sorted(shares.files) == [".env", "a.cfg"] and shares.secret == ()
    assert shares.folders[2].hidden == (), "the name holds everywhere"
    assert list(shares.sentences()) == [f"worktree.share names {place.top}/missing, which is no folder, so it is not shared."]
    only = await found(place, ["!*", "build/"])
    assert folders(only) == [] and only.files == ()
    assert await found(place, []) == Shares()


async def test_nothing_is_laid_over_a_file_of_the_base_or_shown_of_ours(place: Place) -> None:
    place.sh("mkdir build && echo tracked > build/kept && git add -f build/kept && git commit -qm tracked")
    place.write({"build/made": "x", "own/state/x": "x"})
    assert folders(await found(place, keep_out=(place.root / "own" / "state",))) == []
    # Deleted in the checkout, and still of the base.
    place.sh("git rm -rqf --cached build")
    assert folders(await found(place)) == ["own"]
    assert (await found(place, home=place.root / "own")).folders == ()


async def test_links_out_of_the_checkout_are_named_and_not_followed_unless_the_user_says_so(place: Place) -> None:
    outside = place.top / "packages"
    outside.mkdir()
    (outside / "x").write_text("x")
    (place.root / "link").symlink_to(outside)
    (place.root / "target").symlink_to("pkg")
    shares = await found(place)
    assert shares.outside == ("link",) and shares.files == ("target",) and shares.folders == ()
    named = await found(place, ["link"])
    assert folders(named) == ["link"] and named.folders[0].source == outside


async def test_an_active_environment_outside_the_checkout_is_shared(place: Place) -> None:
    environment = place.top / "home" / "venvs" / "x"
    environment.mkdir(parents=True)
    place.write({".venv/x": "x"})
    shares = await found(place, env={"VIRTUAL_ENV": str(environment)})
    assert folders(shares) == [str(environment), ".venv"]
    assert folders(await found(place, env={"VIRTUAL_ENV": str(place.root / ".venv"), "CONDA_PREFIX": "/usr"})) == [".venv"]


async def test_their_number_is_bounded_and_what_is_near_comes_first(place: Place) -> None:
    place.write({f"pkg/p{number:02}/node_modules/x": "x" for number in range(MOST_FOLDERS + 5)})
    place.write({f"made/{number}.cfg": "x" for number in range(MOST_FILES + 3)})
    place.write({"node_modules/x": "x"})
    shares = await found(place, near="pkg/p23/src")
    assert folders(shares)[:2] == ["node_modules", "pkg/p23/node_modules"] and len(shares.folders) == MOST_FOLDERS
    assert len(shares.files) == MOST_FILES and len(shares.too_many) == 6 + 3
    assert "there is too much of it: " in "".join(shares.sentences()) and "and 1 more" in "".join(shares.sentences())


async def test_a_name_that_is_not_text_and_one_with_a_newline(place: Place) -> None:
    odd = os.fsdecode(b"caf\xe9\n.cfg")
    place.write({odd: "x", os.fsdecode(b"own/\xff/x"): "x", os.fsdecode(b"\xff/node_modules/x"): "x"})
    active = place.top / os.fsdecode(b"venv-\xff")
    active.mkdir()
    shares = await found(place, env={"VIRTUAL_ENV": str(active)})
    assert folders(shares) == ["own"] and len(shares.files) == 1
    (said,) = shares.sentences()
    assert "no UTF-8" in said and "node_modules" in said and "venv-" in said, said
    target = place.top / "copies"
    target.mkdir()
    assert copy_files(place.root, target, shares.files) == ()
    assert [path.name for path in target.iterdir()] == [odd]


async def test_copies_keep_mode_and_time_and_overwrite_nothing(place: Place) -> None:
    place.write({"tool.cfg": "x", "there.cfg": "theirs", "deep/er.cfg": "y"})
    (place.root / "tool.cfg").chmod(0o750)
    os.utime(place.root / "tool.cfg", ns=(1, 10**18))
    target = place.top / "copies"
    target.mkdir()
    (target / "there.cfg").write_text("own")
    (target / "deep").symlink_to(place.top / "home")
    assert copy_files(place.root, target, ["tool.cfg", "there.cfg", "deep/er.cfg"]) == ()
    copied = (target / "tool.cfg").stat()
    assert stat.S_IMODE(copied.st_mode) == 0o750 and copied.st_mtime_ns == 10**18
    assert (target / "there.cfg").read_text() == "own" and list((place.top / "home").iterdir()) == []


@pytest.mark.case("U17")
async def test_what_git_ignores_in_submodules_is_shared_within_the_same_bounds(place: Place) -> None:
    library, inner = Place(place.top / "library"), Place(place.top / "inner")
    inner.commit({"deep.c": "", ".gitignore": "*.o\n"})
    library.commit({"lib.c": "", ".gitignore": "deps/\n*.cfg\n.env\nkept/\n", "made/x": "x"})
    library.sh("mkdir kept && echo x > kept/tracked && git add -f kept && git commit -qm kept")
    add = "git -c protocol.file.allow=always submodule -q add"
    library.sh(f"{add} {inner.root} inner && git commit -qm inner")
    for name in ("lib", *(f"many/{number:02}" for number in range(MOST_SUBMODULES // 2))):
        place.sh(f"{add} {library.root} {name}")
    place.sh("git commit -qm lib; git -c protocol.file.allow=always submodule -q update --init --recursive lib")
    place.write({"lib/deps/x": "x", "lib/local.cfg": "x", "lib/.env": "A=1", "lib/kept/made": "x", "lib/inner/deep.o": "o"})
    place.write({"lib/new.txt": "not ignored", "build/y": "y", "many/10/local.cfg": "x"})
    shares = await found(place)
    assert folders(shares) == ["build", "lib/deps"]
    assert shares.files == ("lib/kept/made", "lib/local.cfg", "lib/inner/deep.o", "many/10/local.cfg")
    assert shares.secret == ("lib/.env",)
    assert shares.too_many == ("what git ignores in many/24", "what git ignores in many/24/inner"), "there are 26 of two"
    (place.root / "lib").rename(place.top / "moved")
    (place.root / "lib").symlink_to(place.top / "moved")
    assert folders(await found(place)) == ["build"]
