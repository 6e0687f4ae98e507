"""What the walk leaves out of generated trees is what git leaves out of them."""

import os
import random
import subprocess
from pathlib import Path

from developer_extension import module

walk = module("search.walk")
Workspace = module("workspace").Workspace

NAMES = ["a", "b", "c", "d", "ab", "abc", "[id]", "é", "1", "a]", "*", "-", " a", "{a,b}"]
FILES = ["a.x", "b.o", "#c", "!x", "a ", "a\\", "ab.x", "].x", "[a-", "\\"]
PARTS = [
    *("a", "b", "c", "d", "ab", "a.x", "b.o", "é", "a ", "[id]", "{a,b}", "*", "?", "**", "***", "*.x", "*.o", "a*", "*b*"),
    *("[ab]", "[!a]", "[a-c]", "[^b].x", "[]a]", r"[a\]]", r"[\a-c]", "[--a]", "[a-]", "[c-a]", "[!a-c]*", "[a-", "[/]"),
    *("a**b", "a[/]b", "[[:alpha:]]", "[[:digit:]b]", "[[:punct:]]", "[[:nope:]]", "[[:a]", r"\a", r"\*", "\\"),
]  # fmt: skip


def pattern(dice: random.Random) -> str:
    text = "/".join(dice.choice(PARTS) for _ in range(dice.choice([1, 1, 1, 2, 2, 3])))
    before = dice.choices(["", "/", "!", "!/", "#", "\\", "//"], [8, 2, 3, 1, 0.3, 0.3, 0.3])[0]
    return before + text + dice.choices(["", "/", " ", "\r", "\t"], [8, 3, 0.5, 0.3, 0.3])[0]


def plant(dice: random.Random, folder: Path, depth: int = 0) -> None:
    """Files and folders, with a .gitignore at the top and in some of the folders below."""
    folder.mkdir()
    if depth == 0 or dice.random() < 0.4:
        lines = "\n".join(pattern(dice) for _ in range(dice.randrange(1, 6)))
        mark = dice.choices(["", "\ufeff"], [9, 1])[0]
        (folder / ".gitignore").write_text(mark + lines + dice.choice(["", "\n"]), encoding="utf-8", newline="")
    for name in dice.sample(NAMES, 4):
        if depth < 3 and dice.random() < 0.5:
            plant(dice, folder / name, depth + 1)
        else:
            (folder / name).touch()
    for name in dice.sample(FILES, 3):
        (folder / name).touch()


def test_the_walk_leaves_out_exactly_what_git_leaves_out_of_generated_trees(tmp_path: Path) -> None:
    for seed in range(300):
        plant(random.Random(seed), tmp_path / str(seed))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    listing = ["git", "-c", "core.excludesFile=/dev/null", "ls-files", "--others", "--exclude-standard", "-z"]
    expected = subprocess.run(listing, cwd=tmp_path, capture_output=True, check=True).stdout.split(b"\0")[:-1]
    found = [os.fsencode(path) for path in walk.walked_files(Workspace.at(tmp_path), ".")]
    assert len(expected) > 1000 and set(found) ^ set(expected) == set()


def test_a_pattern_made_to_be_tried_in_countless_ways_is_answered_at_once(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*a" * 60 + "b\n" + "**/a/" * 60 + "b\n")
    deep = tmp_path.joinpath(*["a"] * 200)
    deep.mkdir(parents=True)
    (deep / ("a" * 250)).touch()
    assert [path[-2:] for path in walk.walked_files(Workspace.at(tmp_path), ".")] == ["re", "aa"]
