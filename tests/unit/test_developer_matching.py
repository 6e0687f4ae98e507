"""Where an edit applies: exactly, once but for whitespace, or not at all and what comes nearest."""

import time

import pytest
from developer_extension import module

matching = module("editing.matching")
locate, Found, Ambiguous, Missing, AlreadyDone = (
    matching.locate,
    matching.Found,
    matching.Ambiguous,
    matching.Missing,
    matching.AlreadyDone,
)


def result(text: str, old: str, new: str, every: bool = False) -> str:
    found = locate(text, old, new, every)
    assert isinstance(found, Found), found
    for start, end, replacement in reversed(found.changes):
        text = text[:start] + replacement + text[end:]
    return text


def test_an_exact_match_wins_over_looser_ones() -> None:
    assert result("  x = 1\nx = 1\n", "\nx = 1\n", "\nx = 2\n") == "  x = 1\nx = 2\n"


def test_two_exact_matches_are_refused_naming_their_lines() -> None:
    assert locate("a\nb\na\n", "a\n", "c\n") == Ambiguous((1, 3))


def test_all_exact_matches_are_replaced_when_asked() -> None:
    assert result("a b a b", "a", "c", every=True) == "c b c b"


@pytest.mark.case("U05")
@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        pytest.param(
            "class A:\n\tdef f(self):\n\t\treturn 1\n",
            "def f(self):\n    return 1",
            "def f(self):\n    if x:\n        return 2\n    return 1",
            "class A:\n\tdef f(self):\n\t\tif x:\n\t\t\treturn 2\n\t\treturn 1\n",
            id="spaces into tabs",
        ),
        pytest.param(
            "def f():\n  a = 1\n  b = 2\n",
            "def f():\n    a = 1\n    b = 2\n",
            "def f():\n    a = 1\n    for x in y:\n        b = 2\n",
            "def f():\n  a = 1\n  for x in y:\n    b = 2\n",
            id="four spaces into two",
        ),
        pytest.param(
            "def f():\n    a = 1\n    b = 2\n",
            "def f():\n\ta = 1\n\tb = 2",
            "def f():\n\ta = 1\n\tif a:\n\t\tb = 2",
            "def f():\n    a = 1\n    if a:\n        b = 2\n",
            id="tabs into spaces",
        ),
        pytest.param(
            "if a:\n        deep()\n        er()\n",
            "deep()\ner()",
            "deep()\nif b:\n    er()",
            "if a:\n        deep()\n        if b:\n            er()\n",
            id="no indentation at all",
        ),
        pytest.param(
            "    if a:\n        b()\n    c()\n",
            "        if a:\n            b()\n",
            "        if a:\n            b()\n        else:\n            d()\n",
            "    if a:\n        b()\n    else:\n        d()\n    c()\n",
            id="too deep",
        ),
        pytest.param("x = 1   \ny = 2\n", "x = 1\ny = 2\n", "x = 1\ny = 3\n", "x = 1\ny = 3\n", id="trailing blanks"),
        pytest.param("a  =  b\n", "a = b", "a = c", "a = c\n", id="blanks within a line"),
        pytest.param("s = “x”\n", 's = "x"', "s = y", "s = y\n", id="typographic quotes"),
        pytest.param("f(a,\n   b)\nz\n", "(a,\n b)", "(a)", "f(a)\nz\n", id="a part of a line"),
        pytest.param(
            "a\nlast line", "a\n  last line\n", "a\n  final line\n", "a\nfinal line", id="no line end at the end"
        ),
    ],
)
def test_a_unique_match_but_for_whitespace_is_fitted_to_the_file(text: str, old: str, new: str, expected: str) -> None:
    found = locate(text, old, new)
    assert isinstance(found, Found) and found.how == "whitespace"
    assert result(text, old, new) == expected


@pytest.mark.case("U05")
def test_two_matches_but_for_whitespace_are_refused() -> None:
    found = locate("  return x\nfoo\n    return x\n", "\treturn x\n", "\treturn y\n")
    assert found == Ambiguous((1, 3), "whitespace")


def test_the_indentation_of_the_line_after_a_loose_match_is_left_alone() -> None:
    assert result("\ta()\n\t\tb()\n", "    a()\n", "    c()\n") == "\tc()\n\t\tb()\n"


def test_a_loose_match_does_not_begin_or_end_within_a_word() -> None:
    assert isinstance(locate("prefoo  (bar)\n", "foo (bar)", "x"), Missing)


@pytest.mark.parametrize("prefix", ["{}\t", "{}→", "{}|", "{}| ", "   {}\t", "{}: "])
def test_line_numbers_copied_from_a_listing_are_taken_off_when_that_makes_it_match(prefix: str) -> None:
    text = "alpha\nbeta\n\ngamma\n"
    old = "".join(prefix.format(n) + line + "\n" for n, line in ((2, "beta"), (3, ""), (4, "gamma")))
    assert result(text, old, "delta\n") == "alpha\ndelta\n"
    assert result(text, old, prefix.format(2) + "delta\n") == "alpha\ndelta\n"


def test_a_text_that_really_has_numbers_keeps_them() -> None:
    assert result("1: a\n2: b\n", "1: a\n2: b\n", "1: a\n3: c\n") == "1: a\n3: c\n"


def test_an_edit_that_was_applied_before_is_recognised() -> None:
    assert locate("def f():\n    return 2\n", "    return 1\n", "    return 2\n") == AlreadyDone(2, 2)


def test_a_fix_of_indentation_that_was_applied_before_is_recognised() -> None:
    assert locate("if a:\n    foo(bar)\n", "  foo(bar)\n", "    foo(bar)\n") == AlreadyDone(2, 2)


def test_lines_added_beside_the_old_text_are_not_added_twice() -> None:
    assert locate("import os\nimport sys\n\nx\n", "import os\n", "import os\nimport sys\n") == AlreadyDone(1, 2)
    assert result("import os\n\nx\n", "import os\n", "import os\nimport sys\n") == "import os\nimport sys\n\nx\n"


@pytest.mark.case("U05")
def test_the_nearest_region_is_shown_with_the_first_line_that_differs_and_its_whitespace() -> None:
    text = "import os\n\n\ndef area(w, h):\n\treturn w * h\n\n\ndef main():\n    pass\n"
    found = locate(text, "def area(w, h):\n    return w + h\n", "x")
    assert isinstance(found, Missing)
    shown = str(found.nearest)
    assert "at line 4" in shown
    assert "4\tdef area(w, h):\n5\t\treturn w * h" in shown
    assert "First difference, line 5" in shown
    assert "file: →return·w·*·h" in shown
    assert "yours: ····return·w·+·h" in shown


def test_when_nothing_is_similar_no_region_is_made_up() -> None:
    assert locate("aaaa\nbbbb\n", "completely_different(thing)", "x") == Missing(None)


def test_a_long_file_is_searched_for_the_nearest_region_without_holding_the_program() -> None:
    text = "\n".join(f"    value_{i} = compute({i}, {i * 7})" for i in range(50_000))
    wanted = "\n".join(f"    value_{i} = compute({i}, {i * 7 + 1})" for i in range(30_000, 30_060))
    begun = time.process_time()
    found = locate(text, wanted, "x")
    assert time.process_time() - begun < 5
    assert isinstance(found, Missing) and found.nearest is not None


def test_hostile_runs_of_blanks_do_not_make_matching_slow() -> None:
    text = (" " * 5000 + "\n") * 200
    begun = time.process_time()
    locate(text, "a" + " \n" * 400 + "b", "x")
    assert time.process_time() - begun < 5
