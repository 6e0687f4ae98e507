"""Shell patterns over relative paths."""

import pytest
from developer_extension import module

compile_glob = module("search.globs").compile_glob
Refused = module("refusal").Refused


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.py", ["a.py", "src/deep/a.py"], ["a.pyc", "py"]),
        ("**/*.py", ["a.py", "src/deep/a.py"], ["a.txt"]),
        ("src/*.py", ["src/a.py"], ["src/deep/a.py", "a.py", "x/src/a.py"]),
        ("src/**", ["src/a", "src/b/c"], ["src", "lib/a"]),
        ("src/**/test_*.py", ["src/test_a.py", "src/x/y/test_b.py"], ["test_a.py"]),
        ("*.{ts,tsx}", ["a.ts", "b/c.tsx"], ["a.js"]),
        ("{a,b{c,d}}.x", ["a.x", "bc.x", "bd.x"], ["b.x"]),
        ("[!a]?.c", ["bx.c"], ["ax.c", "b.c"]),
        ("file[0-9].txt", ["file7.txt"], ["filex.txt"]),
        ("./src/*.py", ["src/a.py"], ["a.py"]),
        ("src/", ["src/a", "src/b/c"], ["src"]),
        ("a+b(c).py", ["a+b(c).py"], ["aab(c).py"]),
        ("app/[id]/*.tsx", ["app/[id]/a.tsx", "app/d/a.tsx"], ["app/id/a.tsx"]),
        (r"app/\[id\]/*.tsx", ["app/[id]/a.tsx"], ["app/d/a.tsx"]),
        ("[...slug]", ["[...slug]", "x/s"], ["slug"]),
        ("[user-id].py", ["[user-id].py", "u.py"], ["x.py"]),
        ("*[id]*.py", ["a[id]b.py", "xiy.py"], ["a[].py"]),
        ("{a,b}/*.{c,h}", ["a/x.c", "{a,b}/x.h", "b/x.{c,h}"], ["{a/x.c"]),
        ("{a,b{c,d}}", ["a", "bd", "{a,b{c,d}}"], ["{a"]),
        ("{src/**/*,lib/*}.py", ["src/a/b.py", "lib/a.py"], ["lib/a/b.py"]),
        (r"\{a,b}", ["{a,b}"], ["a"]),
        ("a[", ["a["], ["a"]),
        ("{single}.py", ["{single}.py"], ["single.py"]),
        ("[].py", ["[].py"], ["a.py"]),
        (".github/*", [".github/x.yml"], ["github/x.yml"]),
    ],
)
def test_patterns_match_as_shells_and_gitignore_do(pattern: str, yes: list[str], no: list[str]) -> None:
    matcher = compile_glob(pattern)
    assert [path for path in yes + no if matcher.fullmatch(path)] == yes


def test_a_pattern_with_too_many_alternatives_is_refused() -> None:
    with pytest.raises(Refused, match="alternatives"):
        compile_glob("{a,b}" * 20)


def test_a_pattern_made_to_be_tried_in_countless_ways_is_answered_at_once() -> None:
    assert compile_glob("**/" + "*a" * 40 + "b").fullmatch("a/" * 100 + "a" * 200) is None


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(Refused, match="empty"):
        compile_glob("./")
