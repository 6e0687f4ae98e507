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


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(Refused, match="empty"):
        compile_glob("./")
