"""The whole way on projects that other people wrote, as they are published: a scripted model looks for the place, plans, edits,
gets something wrong, runs the project's own tests in the sandbox, and reports; a person drops one hunk and applies the rest.

The projects come from tests/material/prepare. Times are printed (`pytest -s`), never asserted.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import material
import pytest
from command import Ended, User, answered, calls


@dataclass
class Contributor(User):
    """Somebody who has a project's sources in git and its environment activated."""

    began: float = field(default_factory=time.perf_counter)

    def takes(self, name: str) -> None:
        programs = material.project_bin()
        self.env["PATH"] = os.pathsep.join((str(programs), self.environment()["PATH"]))
        self.repository = material.project(name, self.root)
        self.git("init", "-q", "-b", "main")
        self.commit(f"{name} as published")
        self.say(f"{name}: {len(self.git('ls-files').splitlines())} files, committed")

    def say(self, what: str) -> None:
        print(f"{time.perf_counter() - self.began:7.2f} s  {what}", file=sys.stderr)

    async def has(self, task: str, check: str, *args: str) -> "Run":
        ended = await self.goose("run", "-t", task, "--check", check, "--output-format", "json", *args, seconds=100)
        self.say("the run has ended")
        assert ended.code == 0, ended
        return Run(self, ended)


@dataclass
class Run:
    user: Contributor
    ended: Ended

    @property
    def id(self) -> str:
        return self.ended.json["session_id"]

    async def changes(self) -> dict[str, list[str]]:
        """The added and removed lines of each hunk, by file, as the review shows them."""
        shown = await self.user.goose("review", self.id, "--json")
        assert shown.code == 0, shown
        files = shown.json["changes"]["files"]
        return {file["path"]: ["".join(_changed(hunk["lines"])) for hunk in file["hunks"]] for file in files}

    async def drops(self, path: str, number: int) -> None:
        dropped = await self.user.goose("reject", self.id, "--file", path, "--hunk", str(number), "-m", "not asked for")
        assert dropped.code == 0, dropped

    async def applies(self) -> None:
        applied = await self.user.goose("apply", self.id, "--all", "--yes")
        assert applied.code == 0, applied
        self.user.say("applied")

    async def exports(self) -> tuple[str, Any]:
        """The session as Markdown, and as JSON."""
        found = [await self.user.goose("session", "export", self.id, "--format", form) for form in ("markdown", "json")]
        assert [export.code for export in found] == [0, 0], found
        return found[0].out, found[1].json


def _changed(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(" ")]


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Contributor]:
    user = Contributor(tmp_path)
    yield user
    user.leave()


TIMED = "src/itsdangerous/timed.py"
TIMED_TEST = "tests/test_itsdangerous/test_timed.py"


async def test_itsdangerous_gets_a_max_age_that_may_be_a_timedelta(user: Contributor) -> None:
    """Anthropic Messages over HTTP. The first try misses an import; the person drops a docstring that nobody asked for."""
    user.takes("itsdangerous")
    before = user.tree()
    check = "PYTHONPATH=src python -m pytest -q"
    turns = [
        calls(
            ("grep", {"pattern": "max_age", "path": "src", "context": 2}),
            ("glob", {"pattern": "tests/**/test_timed.py"}),
            ("shell", {"command": check}),
            text="I look where max_age is used, and how the tests stand.",
        ),
        calls(("read", {"path": TIMED, "offset": 130, "limit": 40}), ("read", {"path": TIMED_TEST, "limit": 45})),
        calls(
            _plan("in_progress", "Compare ages as seconds", "Test it with a timedelta"),
            _edit(
                TIMED,
                "            age = self.get_timestamp() - ts_int\n",
                "            age = self.get_timestamp() - ts_int\n\n"
                "            if isinstance(max_age, timedelta):\n"
                "                max_age = max_age.total_seconds()\n",
            ),
            _edit(
                TIMED_TEST,
                "    def test_return_timestamp(self, signer, ts):\n",
                "    def test_max_age_timedelta(self, signer, freeze):\n"
                '        signed = signer.sign("value")\n'
                "        freeze.tick(timedelta(seconds=90))\n"
                '        assert signer.unsign(signed, max_age=timedelta(minutes=2)) == b"value"\n\n'
                "        with pytest.raises(SignatureExpired):\n"
                "            signer.unsign(signed, max_age=timedelta(minutes=1))\n\n"
                "    def test_return_timestamp(self, signer, ts):\n",
            ),
        ),
        calls(("shell", {"command": f"{check} {TIMED_TEST}"}), text="Now the tests of that module."),
        {
            "when": {"last_contains": "NameError: name 'timedelta' is not defined"},
            **calls(
                _edit(TIMED, "import datetime\n", "import datetime\nfrom datetime import timedelta\n"),
                _edit(
                    TIMED,
                    "Only validates the given signed value. Returns ``True`` if",
                    "Validates the given signed value, and nothing else. Returns ``True`` if",
                ),
                text="The import is missing.",
            ),
        },
        calls(("shell", {"command": check}), _plan("completed", "Compare ages as seconds", "Test it with a timedelta")),
        {"text": "All of them pass."},
        {"text": "`max_age` may be a timedelta now; the project's tests pass."},
    ]
    async with answered(user, turns, "anthropic") as server:
        run = await user.has("Let max_age of TimestampSigner.unsign be a datetime.timedelta as well.", check)
    assert server.objections == []
    assert run.ended.json["outcome"] == "done"
    assert [each["passed"] for each in run.ended.json["checks"]] == [True]
    assert user.tree() == before

    changes = await run.changes()
    assert {path: len(hunks) for path, hunks in changes.items()} == {TIMED: 3, TIMED_TEST: 1}
    assert changes[TIMED][0] == "+from datetime import timedelta\n"
    assert "nothing else" in changes[TIMED][2]
    await run.drops(TIMED, 3)
    await run.applies()

    assert user.git("status", "--porcelain").splitlines() == [f" M {TIMED}", f" M {TIMED_TEST}"]
    assert user.git("diff", "--numstat").splitlines() == [f"4\t0\t{TIMED}", f"8\t0\t{TIMED_TEST}"]
    assert "Only validates the given signed value." in (user.repository / TIMED).read_text()
    markdown, log = await run.exports()
    assert "NameError" in markdown and "may be a timedelta now" in markdown
    assert log


RECIPES = "more_itertools/recipes.py"
RECIPES_TEST = "tests/test_recipes.py"


async def test_more_itertools_gets_an_inconsistency_fixed_with_a_patch(user: Contributor) -> None:
    """OpenAI Responses through the vendor's SDK, and the edit tool of those models: one patch over two files."""
    user.takes("more-itertools")
    before = user.tree()
    check = "python -m pytest -q tests/test_recipes.py -k 'Tail or Take'"
    patch = """\
*** Begin Patch
*** Update File: more_itertools/recipes.py
@@ def take(n, iterable):
-    If there are fewer than *n* items in the iterable, all of them are
-    returned.
+    If there are fewer than *n* items in the iterable, all of them are
+    returned, in their order.
@@ def tail(n, iterable):
     >>> list(t)
     ['E', 'F', 'G']

+    Raises :exc:`ValueError` where *n* is negative.
     \"\"\"
+    if n < 0:
+        raise ValueError('n must not be negative')
     try:
         size = len(iterable)
*** Update File: tests/test_recipes.py
@@ class TailTests(TestCase):
+    def test_negative(self):
+        for iterable in ([1, 2, 3], iter([1, 2, 3])):
+            with self.subTest(iterable=iterable), self.assertRaises(ValueError):
+                mi.tail(-1, iterable)
+
*** End Patch
"""
    turns = [
        calls(
            ("grep", {"pattern": r"def tail|class TailTests|mi\.tail\(", "context": 3}),
            ("shell", {"command": "python -c 'import more_itertools as mi; print(list(mi.tail(-1, [1, 2, 3])))'"}),
        ),
        calls(("read", {"path": RECIPES, "offset": 110, "limit": 55}), text="A list gives nothing, an iterator an error."),
        calls(_plan("in_progress", "Refuse a negative n either way"), ("apply_patch", {"patch": patch})),
        calls(("shell", {"command": check}), _plan("completed", "Refuse a negative n either way")),
        {"text": "The tests pass."},
        {"text": "`tail` refuses a negative n now, whatever it is given; its tests and those of `take` pass."},
    ]
    async with answered(user, turns, "responses", transport="sdk") as server:
        task = "tail(-1, [1, 2, 3]) is silently empty, tail(-1, iter([1, 2, 3])) raises ValueError. Make both raise."
        run = await user.has(task, check, "--model", "gpt-5.1")
    assert server.objections == []
    assert [each["passed"] for each in run.ended.json["checks"]] == [True]
    assert user.tree() == before

    changes = await run.changes()
    assert {path: len(hunks) for path, hunks in changes.items()} == {RECIPES: 2, RECIPES_TEST: 1}
    await run.drops(RECIPES, 1)
    await run.applies()

    assert user.git("status", "--porcelain").splitlines() == [f" M {RECIPES}", f" M {RECIPES_TEST}"]
    assert user.git("diff", "--numstat").splitlines() == [f"3\t0\t{RECIPES}", f"5\t0\t{RECIPES_TEST}"]
    assert "in their order" not in (user.repository / RECIPES).read_text()
    markdown, _ = await run.exports()
    assert "refuses a negative n now" in markdown


TEXT = "django/utils/text.py"
TEXT_TEST = "tests/utils_tests/test_text.py"
TEXT_DOCS = "docs/ref/utils.txt"


async def test_django_with_its_thousands_of_files_gets_an_argument_its_test_and_its_documentation(user: Contributor) -> None:
    """Chat Completions over HTTP, which brings the small set of tools of local servers."""
    user.takes("django")
    files = len(user.git("ls-files").splitlines())
    assert files > 5000
    before = user.tree()
    check = "python tests/runtests.py --parallel 1 utils_tests.test_text"
    ours = f"PYTHONPATH=. {check}"
    turns = [
        calls(
            ("grep", {"pattern": "def slugify|slugify\\(value"}),
            ("grep", {"pattern": "slugify", "glob": "*.txt", "files_only": True}),
            ("shell", {"command": ours}),
            text="I look for the function, its tests and its documentation.",
        ),
        calls(
            ("read", {"path": TEXT, "offset": 460, "limit": 30}),
            ("read", {"path": TEXT_TEST, "offset": 345, "limit": 35}),
            ("read", {"path": TEXT_DOCS, "offset": 905, "limit": 32}),
        ),
        calls(
            _plan("in_progress", "Add the argument", "Test it", "Document it"),
            _edit(TEXT, "slugify(value, allow_unicode=False):", "slugify(value, allow_unicode=False, max_length=None):"),
            _edit(
                TEXT,
                '    return re.sub(r"[-\\s]+", "-", value).strip("-_")\n',
                '    value = re.sub(r"[-\\s]+", "-", value).strip("-_")\n'
                "    return value if max_length is None else value[:max_length].rstrip(\"-_\")\n",
            ),
            _edit(
                TEXT_TEST,
                "    def test_unescape_string_literal(self):\n",
                "    def test_slugify_max_length(self):\n"
                '        self.assertEqual(text.slugify("Hello, World!", max_length=6), "hello")\n'
                '        self.assertEqual(text.slugify("Hello, World!", max_length=7), "hello-w")\n\n'
                "    def test_unescape_string_literal(self):\n",
            ),
            _edit(TEXT_DOCS, "slugify(value, allow_unicode=False)\n", "slugify(value, allow_unicode=False, max_length=None)\n"),
            _edit(
                TEXT_DOCS,
                "        '你好-world'\n",
                "        '你好-world'\n\n    A slug that is longer than ``max_length`` is cut there.\n",
            ),
        ),
        calls(("shell", {"command": ours}), _plan("completed", "Add the argument", "Test it", "Document it")),
        {"text": "They pass."},
        {"text": "slugify() takes max_length now, with a test and a sentence in the documentation."},
    ]
    async with answered(user, turns, "chat") as server:
        run = await user.has("Give django.utils.text.slugify a max_length; a cut slug must not end in a dash.", ours)
    assert server.objections == []
    assert [each["passed"] for each in run.ended.json["checks"]] == [True]
    first = json.dumps(next(request.body for request in server.requests if request.protocol), ensure_ascii=False)
    assert len(first) < 20_000, "what a model is told at first does not grow with the repository"
    assert f"Files: {files}; Python" in first
    assert user.tree() == before

    changes = await run.changes()
    assert {path: len(hunks) for path, hunks in changes.items()} == {TEXT: 2, TEXT_DOCS: 2, TEXT_TEST: 1}
    await run.drops(TEXT_DOCS, 2)
    await run.applies()

    assert user.git("diff", "--numstat").splitlines() == [f"3\t2\t{TEXT}", f"1\t1\t{TEXT_DOCS}", f"4\t0\t{TEXT_TEST}"]
    assert user.git("status", "--porcelain").splitlines() == [f" M {TEXT}", f" M {TEXT_DOCS}", f" M {TEXT_TEST}"]
    markdown, _ = await run.exports()
    assert "slugify() takes max_length now" in markdown


def _plan(status: str, *titles: str) -> tuple[str, dict[str, Any]]:
    first, *others = titles
    later = "pending" if status == "in_progress" else status
    steps = [{"title": first, "status": status, "acceptance": "the project's tests pass"}]
    return "update_plan", {"steps": [*steps, *({"title": title, "status": later} for title in others)]}


def _edit(path: str, old: str, new: str) -> tuple[str, dict[str, Any]]:
    return "edit", {"path": path, "old_string": old, "new_string": new}
