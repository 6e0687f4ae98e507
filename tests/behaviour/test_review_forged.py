"""Journals of merges that no process of ours has written: whoever sent a repository may have put one into its git directory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from git_repos import Place, tree_of_folder

from goose_py.git.errors import RepositoryBusy
from goose_py.review.recovery import has_leftovers, recover, recover_all

ASIDE = ".goose-apply-1-00000000"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A repository of a stranger, and a folder of the user's beside it."""
    place = Place(tmp_path)
    place.commit({"a.txt": "a\n"})
    place.write({"thesis.txt": "years of work\n", "1.old": "old\n"}, place.top / "documents")
    return place


def forge(place: Place, **forged: Any) -> None:
    tip = place.sh("git rev-parse HEAD").strip()
    journal = {
        "root": str(place.root),
        "reference": "refs/heads/main",
        "tip": tip,
        "commit": place.sh("git commit-tree -p HEAD -m forged 'HEAD^{tree}'").strip(),
        "aside": str(place.root / ".git" / ASIDE),
        "index": ".goose-index-1-00000000",
        "had_index": True,
    }
    (place.root / ".git" / "index.lock").write_bytes(b"goose-py " + json.dumps({**journal, **forged}).encode())


def forge_manifest(place: Place, *writes: tuple[str, bool, Any], folders: tuple[str, ...] = ()) -> None:
    aside = place.root / ".git" / ASIDE
    aside.mkdir()
    for number in range(len(writes)):
        (aside / f"{number}.old").write_text("forged\n")
    (aside / "manifest.json").write_text(json.dumps({"folders": folders, "writes": writes}))


def outside(place: Place) -> dict[str, Any]:
    return {str(path): path.read_bytes() for path in (place.top / "documents").rglob("*")}


@pytest.mark.case("A24")
@pytest.mark.parametrize(
    "forged",
    [
        {"aside": "{top}/documents"},
        {"aside": "{root}/.git/.goose-apply-1-0/../../../documents"},
        {"aside": "{root}/.git/.goose-link"},
        {"root": "{top}/documents"},
        {"root": "{top}", "aside": "{top}/.goose-apply-1-0"},
        {"index": "../../documents/1"},
        {"index": ".goose-/../../../documents/1"},
        {"reference": "--stdin"},
        {"commit": "--no-deref"},
        {"tip": "main"},
    ],
    ids=str,
)
async def test_a_journal_that_names_other_places_is_not_followed(place: Place, forged: dict[str, str]):
    (place.root / ".git" / ".goose-link").symlink_to(place.top / "documents")
    forge(place, **{key: text.format(top=place.top, root=place.root) for key, text in forged.items()})
    before, files = outside(place), tree_of_folder(place.root)
    with pytest.raises(RepositoryBusy, match="is about other places than this checkout"):
        await recover(await place.open())
    assert outside(place) == before and tree_of_folder(place.root) == files
    assert place.sh("git log --oneline | wc -l").strip() == "1"


@pytest.mark.case("A24")
async def test_what_a_forged_manifest_says_reaches_nothing_outside_the_checkout(place: Place):
    (place.root / "link").symlink_to(place.top / "documents")
    status = (place.top / "documents" / "thesis.txt").lstat()
    seen = [status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns]
    thesis = str(place.top / "documents" / "thesis.txt")
    names = ("../documents/thesis.txt", "link/thesis.txt", thesis, "a//../../documents/thesis.txt")
    writes = [(name, existed, seen) for name in names for existed in (True, False)]
    forge_manifest(place, *writes, ("a\0b", True, None), ("\udcff", True, None), folders=("../empty",))
    (place.top / "empty").mkdir()
    forge(place)
    before = outside(place)
    assert await recover_all(await place.open()) != ()
    assert outside(place) == before and (place.top / "empty").is_dir()


@pytest.mark.case("A24")
@pytest.mark.parametrize("home", ["", ".git/"])
async def test_a_folder_that_is_called_as_ours_puts_nothing_into_the_git_directory(place: Place, home: str):
    forge_manifest(place, (".git/hooks/post-checkout", True, None), (".GIT/config.worktree", True, None), ("b.txt", True, None))
    nobody = f".goose-apply-{2**40}-00000000"
    (place.root / ".git" / ASIDE).rename(place.root / home / nobody)
    place.write({".goose-notes-2024-spring.md": "notes\n"})
    await recover(await place.open())
    assert not (place.root / ".git" / "hooks" / "post-checkout").exists()
    assert not list(place.root.rglob("config.worktree"))
    assert (place.root / ".goose-notes-2024-spring.md").exists()
    assert (place.root / "b.txt").exists() == (home != ""), "what lies in a checkout is its files and no record of ours"


@pytest.mark.case("A24")
@pytest.mark.parametrize(
    "manifest",
    ["[" * 60_000, "{}", '{"folders": 3, "writes": []}', '{"folders": [], "writes": [[1]]}', "\0"],
    ids=["deep", "empty", "number", "short", "zero"],
)
async def test_a_manifest_that_is_none_counts_as_not_there(place: Place, manifest: str):
    forge_manifest(place)
    (place.root / ".git" / ASIDE / "manifest.json").write_text(manifest)
    forge(place)
    (found,) = await recover_all(await place.open())
    assert not found.merged and not has_leftovers(place.root)


@pytest.mark.case("A24")
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "deep"])
async def test_what_is_no_lock_of_ours_is_left_alone_and_not_waited_for(place: Place, kind: str):
    lock = place.root / ".git" / "index.lock"
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "link":
        lock.symlink_to(place.top / "documents" / "thesis.txt")
    elif kind == "folder":
        lock.mkdir()
    else:
        lock.write_bytes(b"goose-py " + b"[" * 60_000)
    before = outside(place)
    assert await recover_all(await place.open()) == ()
    assert os.path.lexists(lock) and outside(place) == before
