"""Reading patches in either format, and finding the one place where each change goes."""

import pytest
from developer_extension import module

patch_reader, patch_place = module("patches.parse"), module("patches.placement")
Lines = module("editing.lines").Lines
Refused = module("refusal").Refused


def patched(text: str, patch: str) -> str:
    """`text` after the only file of `patch`."""
    (file_patch,) = patch_reader.read_patch(patch)
    lines = Lines(text)
    splices, cursor = [], 0
    for hunk in file_patch.hunks:
        placed = patch_place.place("f", lines, hunk, cursor, "The change")
        cursor = placed.end
        splices += getattr(placed, "splices", ())
    for start, end, new in reversed(splices):
        text = text[:start] + new + text[end:]
    return text


def v4a(body: str) -> str:
    return f"*** Begin Patch\n*** Update File: f\n{body}*** End Patch\n"


def unified(body: str) -> str:
    return f"--- a/f\n+++ b/f\n{body}"


PYTHON = "class A:\n    def f(self):\n        return 1\n\nclass B:\n    def f(self):\n        return 1\n"


@pytest.mark.parametrize(
    ("text", "patch", "expected"),
    [
        pytest.param("a\nb\nc\n", v4a("@@\n a\n-b\n+B\n c\n"), "a\nB\nc\n", id="context"),
        pytest.param("a\nb\nc\n", v4a("-b\n+B\n"), "a\nB\nc\n", id="no @@"),
        pytest.param(
            PYTHON,
            v4a("@@ class B:\n     def f(self):\n-        return 1\n+        return 2\n"),
            PYTHON[:-2] + "2\n",
            id="anchor",
        ),
        pytest.param(
            PYTHON,
            v4a("@@ class B:\n@@     def f(self):\n-        return 1\n+        return 2\n"),
            PYTHON[:-2] + "2\n",
            id="two anchors",
        ),
        pytest.param(
            PYTHON,
            v4a("@@ class B:\n class B:\n+    x = 1\n"),
            PYTHON.replace("B:\n", "B:\n    x = 1\n"),
            id="anchor repeated",
        ),
        pytest.param("a\nb\nc\n", v4a("@@ a\n+new\n"), "a\nnew\nb\nc\n", id="pure addition after its anchor"),
        pytest.param("a\nb\n", v4a("@@\n+new\n"), "a\nb\nnew\n", id="pure addition without an anchor"),
        pytest.param("x\na\nx\na", v4a("@@\n x\n-a\n+b\n*** End of File\n"), "x\na\nx\nb", id="end of file"),
        pytest.param("a\nb\nc\nd\n", v4a("@@\n-a\n+A\n b\n@@\n-d\n+D\n"), "A\nb\nc\nD\n", id="two changes"),
        pytest.param("a\n\nb\n", v4a("@@\n a\n\n-b\n+B\n"), "a\n\nB\n", id="empty context line without its space"),
        pytest.param(
            "a\nb\n\n", v4a("@@\n a\n-b\n+B\n\n\n"), "a\nB\n\n", id="stray empty lines at the end of the patch"
        ),
        pytest.param(
            "\tif a:\n\t\tb()\n",
            v4a("@@\n if a:\n-    b()\n+    b()\n+    c()\n"),
            "\tif a:\n\t\tb()\n\t\tc()\n",
            id="other indentation",
        ),
        pytest.param("a  \nb\n", v4a("@@\n a\n-b\n+c\n"), "a  \nc\n", id="context keeps its trailing blanks"),
        pytest.param("a\r\nb\r\nc\n", v4a("@@\n a\n-b\n+B\n+BB\n c\n"), "a\r\nB\r\nBB\r\nc\n", id="line ends"),
        pytest.param("a\nb\nc\n", v4a("@@\n 1\ta\n-2\tb\n+2\tB\n"), "a\nB\nc\n", id="line numbers of a listing"),
        pytest.param(
            "x\ny\nx\ny\n", v4a("@@ -3,2 +3,2 @@\n x\n-y\n+z\n"), "x\ny\nx\nz\n", id="a unified header in V4A"
        ),
        pytest.param("a\nb\nc\n", unified("@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"), "a\nB\nc\n", id="unified"),
        pytest.param(
            "a\nb\nc\n", unified("@@ -1,9 +1,7 @@\n a\n-b\n+B\n c\n"), "a\nB\nc\n", id="unified, wrong counts"
        ),
        pytest.param(
            "a\nb\nc\n", unified("@@ -70,3 +70,3 @@\n a\n-b\n+B\n c\n"), "a\nB\nc\n", id="unified, wrong line"
        ),
        pytest.param(
            "x\ny\nx\ny\nx\ny\n",
            unified("@@ -3,2 +3,2 @@\n x\n-y\n+z\n"),
            "x\ny\nx\nz\nx\ny\n",
            id="unified, several places",
        ),
        pytest.param("a\nb\n", unified("@@ -1,0 +2 @@\n+new\n"), "a\nnew\nb\n", id="unified, nothing but new lines"),
        pytest.param(
            "a\nb\n", unified("@@ -2 +2 @@\n-b\n+c\n\\ No newline at end of file\n"), "a\nc", id="final newline taken"
        ),
        pytest.param(
            "a\nb", unified("@@ -2 +2 @@\n-b\n\\ No newline at end of file\n+b\n"), "a\nb\n", id="final newline given"
        ),
        pytest.param("a\nb", v4a("@@\n a\n-b\n+c\n"), "a\nc", id="no final newline stays"),
        pytest.param(
            "a\r\nb\r\n", unified("@@ -1,2 +1,2 @@\n a\r\n-b\r\n+B\n"), "a\r\nB\n", id="a patch that tells line ends"
        ),
        pytest.param(
            "a\r\nb\r\n",
            unified("@@ -1,2 +1,2 @@\n a\n-b\n+B\n").replace("\n", "\r\n"),
            "a\r\nB\r\n",
            id="a patch carried as CRLF",
        ),
        pytest.param(
            "-- x\n++ y\n",
            unified("@@ -1,2 +1,2 @@\n--- x\n+-- z\n ++ y\n"),
            "-- z\n++ y\n",
            id="lines that look like headers",
        ),
    ],
)
def test_a_change_goes_where_its_context_is(text: str, patch: str, expected: str) -> None:
    assert patched(text, patch) == expected


@pytest.mark.parametrize(
    ("text", "patch"),
    [
        pytest.param("one\n2nd\nthree\n", v4a("@@\n one\n-two\n+2nd\n three\n"), id="replacement"),
        pytest.param(
            "def f():\n    added()\n    x\n", v4a("@@ def f():\n+    added()\n"), id="addition after an anchor"
        ),
        pytest.param("import os\nimport sys\n", v4a("@@\n import os\n+import sys\n"), id="addition after context"),
        pytest.param("import os\nimport sys\n", v4a("@@\n+import os\n import sys\n"), id="addition before context"),
        pytest.param("first\nlast line\n", v4a("@@\n+last line\n"), id="addition at the end"),
        pytest.param(
            "\tif a:\n\t\tb()\n\t\tc()\n", v4a("@@\n if a:\n-    x()\n+    b()\n+    c()\n"), id="other indentation"
        ),
    ],
)
def test_what_is_already_applied_is_recognised(text: str, patch: str) -> None:
    (file_patch,) = patch_reader.read_patch(patch)
    placed = patch_place.place("f", Lines(text), file_patch.hunks[0], 0, "The change")
    assert isinstance(placed, patch_place.AlreadyApplied)


@pytest.mark.parametrize(
    ("text", "patch", "why"),
    [
        pytest.param("a\nx\na\nx\n", v4a("@@\n a\n-x\n+y\n"), "fits in 2 places, at lines 1, 3", id="ambiguous"),
        pytest.param(
            "def area(w, h):\n    return w * h\n",
            v4a("@@\n def area(w, h):\n-    return w + h\n+    return 0\n"),
            "First difference, line 2",
            id="context differs",
        ),
        pytest.param(
            "class Alpha:\n    pass\n", v4a("@@ class Alfa:\n-    pass\n+    x\n"), "'class Alfa:'", id="anchor"
        ),
        pytest.param("a\nb\n", v4a("@@\n-b\n+B\n@@ a\n+x\n"), "before the place of the previous change", id="order"),
        pytest.param(
            "q\n", v4a("@@\n-completely different\n+x\n"), "No line of the file is like", id="nothing similar"
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_where_and_why(text: str, patch: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        patched(text, patch)
    assert why in str(refused.value) and "nothing was written" in str(refused.value)


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ("hello", "This is no patch"),
        ("*** Begin Patch\n*** Update File: f\n-a\n+b\n", "cut off"),
        ("*** Begin Patch\n*** End Patch", "no file in it"),
        ("*** Begin Patch\n*** Update File: f\n*** End Patch", "no changes"),
        ("*** Begin Patch\n*** Update File: \n-a\n*** End Patch", "names no file"),
        ("*** Begin Patch\nwhat\n*** End Patch", "Line 2 of the patch is 'what'"),
        ("*** Begin Patch\n*** Add File: f\nno plus\n*** End Patch", "Line 3 of the patch"),
        ("*** Begin Patch\n*** Update File: f\n@@\n?x\n*** End Patch", "Line 4 of the patch"),
        ("*** Begin Patch\n*** Update File: f\n@@ only an anchor\n*** End Patch", "no changes"),
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n", "has no lines"),
        ("diff --git a/f b/f\nGIT binary patch\nliteral 3\n", "binary"),
        ("diff --git a/f b/g\ncopy from f\ncopy to g\n", "copies"),
        ("diff --git a/f b/f\nnew file mode 160000\n", "only regular files"),
    ],
)
def test_a_patch_that_cannot_be_read_is_refused_naming_the_line(patch: str, why: str) -> None:
    with pytest.raises(Refused, match=why.replace("?", r"\?")):
        patch_reader.read_patch(patch)


def test_git_headers_are_understood() -> None:
    diff = (
        'diff --git "a/caf\\303\\251.py" "b/caf\\303\\251.py"\nindex 1..2 100644\n'
        '--- "a/caf\\303\\251.py"\n+++ "b/caf\\303\\251.py"\n'
        "@@ -1 +1 @@\n-a\n+b\n"
        "diff --git a/old b/new name\nsimilarity index 90%\nrename from old\nrename to new name\n"
        "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n"
        "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        "diff --git a/tool b/tool\nnew file mode 100755\n--- /dev/null\n+++ b/tool\n@@ -0,0 +1 @@\n+x\n"
        "diff --git a/empty b/empty\nnew file mode 100644\nindex 0..0\n"
    )
    found = [(p.action, p.path, p.move_to, p.mode, len(p.hunks)) for p in patch_reader.read_patch(diff)]
    assert found == [
        ("update", "café.py", None, None, 1),
        ("update", "old", "new name", None, 0),
        ("update", "run.sh", None, 0o755, 0),
        ("delete", "gone", None, None, 1),
        ("add", "tool", None, 0o755, 1),
        ("add", "empty", None, 0o644, 1),
    ]


def test_a_plain_diff_of_several_files_with_time_stamps_is_understood() -> None:
    diff = "--- f\t2026-01-01 00:00:00\n+++ f\t2026-01-02\n@@ -1 +1 @@\n-a\n+b\n--- g\n+++ g\n@@ -1 +1 @@\n-a\n+b\n"
    assert [(p.action, p.path) for p in patch_reader.read_patch(diff)] == [("update", "f"), ("update", "g")]


def test_text_around_a_patch_is_passed_over() -> None:
    wrapped = "Here it is:\n```\n*** Begin Patch\n*** Delete File: f\n*** End Patch\n```\n"
    assert [p.action for p in patch_reader.read_patch(wrapped)] == ["delete"]
