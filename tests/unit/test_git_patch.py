"""Parsing of raw records, counts and patches; paths and flags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goose_py.git.trees.flags import flags_of, has_hidden_unicode
from goose_py.git.trees.patch import hunk_values, parse_numstat, parse_patch, parse_raw
from goose_py.protocol.changes import path_from_bytes, path_to_bytes


@given(st.binary(min_size=1).filter(lambda raw: b"\0" not in raw))
def test_every_path_survives_as_text(raw: bytes):
    text = path_from_bytes(raw)
    text.encode()
    assert path_to_bytes(text) == raw


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"a b.txt", "a b.txt"), ("gänse".encode(), "gänse"), (b"caf\xe9", '"caf\\351"'), (b'"q"', '"\\"q\\""'),
     (b"\xff\n\t\\", '"\\377\\n\\t\\\\"')],
)  # fmt: skip
def test_paths_are_themselves_or_quoted_as_git_quotes(raw: bytes, text: str):
    assert path_from_bytes(raw) == text and path_to_bytes(text) == raw


@pytest.mark.parametrize("text", ['"', '"a', '"\\q"', '"\\9"', '"\\777"'])
def test_what_is_no_quoted_path_stands_for_itself(text: str):
    assert path_to_bytes(text) == text.encode()


def test_raw_records_are_read_with_renames():
    zero, one, two = "0" * 40, "1" * 40, "2" * 40
    fields = (
        f":000000 100644 {zero} {one} A\0new\0:100644 100755 {one} {two} R090\0old name\0new name\0"
        f":100644 120000 {one} {two} T\0kind\0"
    )
    changes = list(parse_raw(iter(fields.encode().split(b"\0"))))
    assert [(change.letter, change.old_path, change.path) for change in changes] == [
        ("A", b"new", b"new"), ("R", b"old name", b"new name"), ("T", b"kind", b"kind")
    ]  # fmt: skip
    assert (changes[1].old_mode, changes[1].new_mode, changes[1].old_oid) == ("100644", "100755", one)


def test_counts_are_read_with_renames_and_binaries():
    output = b"1\t2\ta\0-\t-\tbin\x000\t3\t\0old\0new\0"
    assert parse_numstat(iter(output.split(b"\0"))) == {b"a": (1, 2), b"bin": (None, None), b"new": (0, 3)}


PATCH = (
    b"diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n"
    b"@@ -1,3 +1,4 @@ def head\xff():\n context\n-diff --git a/x b/x\n+@@ -1 +1 @@\n+--- a/f\n end\n"
    b"@@ -9 +10,0 @@\n-last\n\\ No newline at end of file\n"
    b"diff --git a/bin b/bin\nindex 3..4\nBinary files a/bin and b/bin differ\n"
    b"diff --git a/mode b/mode\nold mode 100644\nnew mode 100755\n"
    b"diff --git a/n b/n\n--- a/n\n+++ b/n\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
)


def test_content_that_looks_like_a_patch_does_not_mislead_the_parser():
    first, binary, mode, newline = parse_patch(PATCH)
    assert [hunk[:4] for hunk in first.hunks] == [(1, 3, 1, 4), (9, 1, 10, 0)]
    assert first.hunks[0][5] == (b" context\n", b"-diff --git a/x b/x\n", b"+@@ -1 +1 @@\n", b"+--- a/f\n", b" end\n")
    assert first.hunks[1][5] == (b"-last",)
    assert binary.binary and not binary.hunks
    assert not mode.binary and not mode.hunks
    assert newline.hunks[0][5] == (b"-a", b"+a\n")


def section(*lines: bytes, start: int = 1):
    old = sum(line[:1] != b"+" for line in lines)
    new = sum(line[:1] != b"-" for line in lines)
    body = b"".join(line + b"\n" for line in lines)
    header = b"diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -%d,%d +%d,%d @@\n" % (start, old, start, new)
    return next(parse_patch(header + body))


def test_a_hunk_keeps_its_id_when_it_moves_and_gets_another_when_it_changes():
    here = hunk_values(b"f", section(b" a", b"-b", b"+c"))[0]
    moved = hunk_values(b"f", section(b" a", b"-b", b"+c", start=40))[0]
    changed = hunk_values(b"f", section(b" a", b"-b", b"+d"))[0]
    elsewhere = hunk_values(b"g", section(b" a", b"-b", b"+c"))[0]
    assert here.id == moved.id
    assert len({here.id, changed.id, elsewhere.id}) == 3


def test_equal_hunks_of_a_file_are_told_apart():
    patch = b"diff --git a/f b/f\n" + b"@@ -1 +1 @@\n-a\n+b\n" + b"@@ -9 +9 @@\n-a\n+b\n"
    first, second = hunk_values(b"f", next(parse_patch(patch)))
    assert second.id == f"{first.id}.2"


def test_a_missing_final_newline_is_part_of_a_hunks_identity():
    with_newline, without = parse_patch(
        b"diff --git a/f b/f\n@@ -1 +1 @@\n-a\n+b\ndiff --git a/f b/f\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n"
    )
    assert hunk_values(b"f", with_newline)[0].id != hunk_values(b"f", without)[0].id


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line), min_size=1))
def test_lines_of_any_bytes_come_back_exactly(lines: list[bytes]):
    hunk = hunk_values(b"f", section(*(b"+" + line for line in lines)))[0]
    assert [line.encode(hunk.encoding) for line in hunk.lines] == [b"+" + line + b"\n" for line in lines]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [("plain", False), ("caf\u00e9", False), ("\ufeffbom at the start", False), ("bom in\ufeffside", True),
     ("admin\u202e// x", True), ("zero\u200bwidth", True), ("tag\U000e0041", True), ("\u2066iso\u2069", True),
     ("\U0001f468\u200d\U0001f469", False), ("\u0915\u094d\u200d\u0937", False), ("a\u200db", True),
     ("soft\u00adhyphen", True)],
)  # fmt: skip
def test_hidden_unicode_is_told_from_writing(text: str, hidden: bool):
    assert has_hidden_unicode(text) == hidden


@pytest.mark.parametrize(
    ("path", "modes", "flag"),
    [("yarn.lock", ("100644", "100644"), "generated"), ("web/app.min.js", ("000000", "100644"), "minified"),
     ("link", ("000000", "120000"), "symlink"), ("lib", ("160000", "160000"), "submodule"),
     ("run", ("100644", "100755"), "executable"), ("a\u202eb", ("100644", "100644"), "hidden_unicode")],
)  # fmt: skip
def test_names_and_modes_say_what_a_file_is(path: str, modes: tuple[str, str], flag: str):
    assert flags_of(path, *modes, binary=False) == {flag}
