"""read, write and edit over a real MCP client, on real files of every kind."""

import asyncio
import base64
import io
import os
import re
import socket
from pathlib import Path

import pytest
from developer_extension import Tools, connected
from PIL import Image

LATIN = "# déjà vu\nx = 1\n# à la fin".encode("latin-1")


async def edit(tools: Tools, old: str, new: str, path: str = "f", **more: object) -> str:
    return await tools("edit", path=path, old_string=old, new_string=new, **more)


async def test_lines_are_numbered_and_what_is_left_out_is_said_with_how_to_read_on(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"line {i}\n" for i in range(1, 5001)))
    async with connected(tmp_path) as tools:
        text = await tools("read", path="f")
        assert text.startswith("1\tline 1\n2\tline 2\n")
        assert text.endswith("2000\tline 2000\n[lines 1-2000 of 5,000; read on with offset=2001]")
        assert (
            await tools("read", path="f", offset=4999) == "4999\tline 4999\n5000\tline 5000\n[lines 4999-5000 of 5,000]"
        )
        assert "has only 5,000 lines" in await tools.refusal("read", path="f", offset=5001)
        assert "from 1" in await tools.refusal("read", path="f", offset=-3)


async def test_wide_lines_do_not_flood_and_are_marked(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(("x" * 5_000_000 + "\n") + "y\n" * 10)
    async with connected(tmp_path) as tools:
        text = await tools("read", path="f")
        assert "characters cut" in text and len(text) < 5000 and "2\ty" in text


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"", "f is empty"),
        (b"a\r\nb\r\n", "CRLF line ends"),
        (b"a\rb\r", "CR line ends"),
        (b"a\nb\r\n", "mixed line ends"),
        (b"a", "no line end after the last line"),
        (b"\xef\xbb\xbfa\n", "UTF-8 with a byte order mark"),
        ("é\n".encode("utf-16"), "utf-16-le with a byte order mark"),
        (LATIN, "latin-1 (guessed)"),
    ],
)
async def test_what_is_unusual_about_a_file_is_said(tmp_path: Path, data: bytes, note: str) -> None:
    (tmp_path / "f").write_bytes(data)
    async with connected(tmp_path) as tools:
        assert note in (await tools("read", path="f")).splitlines()[-1]


async def test_a_name_that_is_not_there_is_answered_with_a_similar_one(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "Settings.py").touch()
    async with connected(tmp_path) as tools:
        refused = await tools.refusal("read", path="src/setting.py")
        assert refused == "There is no file src/setting.py. Did you mean src/Settings.py?"


@pytest.mark.case("A18")
async def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener, (tmp_path / "sparse").open("wb") as sparse:
        folder = os.open(tmp_path, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/socket" if Path("/proc/self/fd").exists() else str(tmp_path / "socket"))
        os.close(folder)
        sparse.truncate(5_000_000_000)
    async with connected(tmp_path) as tools, asyncio.timeout(10):
        for path, why in (
            ("pipe", "pipe is a named pipe"),
            ("socket", "socket"),
            ("folder", "folder is a folder, not a file; use list"),
            ("sparse", "sparse has 5.0 GB"),
            ("/dev/tty", "outside the workspace"),
            ("/proc/self/environ", "outside the workspace"),
        ):
            assert why in await tools.refusal("read", path=path)
            for tool, rest in (("write", {"content": "x"}), ("edit", {"old_string": "a", "new_string": "b"})):
                refused = await tools.refusal(tool, path=path, **rest)
                assert "\n" not in refused, refused
            refused = await tools.refusal(
                "apply_patch", patch=f"*** Begin Patch\n*** Delete File: {path}\n*** End Patch"
            )
            assert "\n" not in refused, refused
        assert (tmp_path / "folder").is_dir()
        assert "No matches" in await tools("grep", pattern="x")


@pytest.mark.case("A18")
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
async def test_a_file_that_has_no_honest_size_is_read_within_bounds(tmp_path: Path) -> None:
    async with connected(Path("/proc/self")) as tools, asyncio.timeout(20):
        assert "Name:" in await tools("read", path="status")
        await tools.refusal("read", path="environ")  # NUL bytes: binary
        await tools.refusal("read", path="fd/0")


def image(kind: str, size: tuple[int, int], path: Path) -> bytes:
    Image.effect_noise(size, 80).convert("RGB").save(path, kind)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_pictures_come_as_pictures_whatever_their_name_and_large_ones_scaled_down(
    tmp_path: Path, kind: str
) -> None:
    small = image(kind, (60, 40), tmp_path / "small.dat")
    image(kind, (3000, 1500), tmp_path / "large.dat")
    async with connected(tmp_path) as tools:
        text, shown = (await tools.result("read", path="small.dat")).content
        assert f"{kind} picture, 60x40 pixels" in text.text
        assert base64.b64decode(shown.data) == small and shown.mime_type == f"image/{kind.lower()}"
        text, shown = (await tools.result("read", path="large.dat")).content
        assert "3000x1500 pixels" in text.text and "shown at 1568x784" in text.text
        data = base64.b64decode(shown.data)
        assert len(data) < 4_000_000
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.size == (1568, 784) and opened.get_format_mimetype() == shown.mime_type


async def test_a_damaged_or_absurd_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    truncated = image("PNG", (2000, 2000), tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes(truncated[: len(truncated) // 2])
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    async with connected(tmp_path) as tools:
        assert "damaged or incomplete" in await tools.refusal("read", path="broken.png")
        assert "damaged or incomplete" in await tools.refusal("read", path="cut.png")
        assert "too large to show" in await tools.refusal("read", path="bomb.png")


async def test_write_makes_folders_and_tells_what_it_did(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        assert await tools("write", path="a/b/c.txt", content="x\ny\n") == "Wrote a/b/c.txt (2 lines, 4 bytes)."
        assert (tmp_path / "a/b/c.txt").read_bytes() == b"x\ny\n"
        assert await tools("write", path="a/b/c.txt", content="z") == "Replaced a/b/c.txt (1 line, 1 byte)."
        assert "nothing was written" in await tools("write", path="a/b/c.txt", content="z")
        assert "a folder" in await tools.refusal("write", path="a/b", content="")
        assert "names a folder" in await tools.refusal("write", path="a/d/", content="")
        assert "is a file, not a folder" in await tools.refusal("write", path="a/b/c.txt/d", content="")


@pytest.mark.case("R38")
@pytest.mark.case("U04")
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param("a\r\nx = 1\r\nb\r\n", "utf-8", id="CRLF"),
        pytest.param("a\rx = 1\rb\r", "utf-8", id="CR"),
        pytest.param("a\r\nx = 1\nb\rc", "utf-8", id="mixed"),
        pytest.param("x = 1\n", "utf-8-sig", id="BOM"),
        pytest.param("\ufeffx = 1\r\né", "utf-16-le", id="UTF-16"),
        pytest.param("# déjà vu\nx = 1\n# à la fin", "latin-1", id="Latin-1"),
        pytest.param("あいうえお\nx = 1\n", "cp932", id="Shift-JIS"),
        pytest.param("这是一个中文的文件\nx = 1\n", "gbk", id="GBK"),
        pytest.param("\tx = 1  \n\n  ", "utf-8", id="blanks"),
        pytest.param("x = 1", "utf-8", id="no final newline"),
        pytest.param("a\x0cb\x0bc\x1c\x85\u2028x = 1\n", "utf-8", id="separators that end no line"),
    ],
)
@pytest.mark.parametrize("tool", ["edit", "apply_patch"])
async def test_an_ascii_edit_leaves_all_other_bytes_and_the_mode_alone(
    tmp_path: Path, text: str, encoding: str, tool: str
) -> None:
    before = text.encode(encoding)
    line = next(line for line in re.split("\r\n|\r|\n", text.lstrip("\ufeff")) if "x = 1" in line)
    changed = line.replace("1", "2")
    arguments = {
        "edit": {"path": "f", "old_string": "x = 1", "new_string": "x = 2"},
        "apply_patch": {"patch": f"*** Begin Patch\n*** Update File: f\n@@\n-{line}\n+{changed}\n*** End Patch"},
    }[tool]
    (tmp_path / "f").write_bytes(before)
    (tmp_path / "f").chmod(0o755)
    async with connected(tmp_path) as tools:
        await tools(tool, **arguments)
    assert (tmp_path / "f").read_bytes() == text.replace("x = 1", "x = 2").encode(encoding)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.case("U04")
@pytest.mark.parametrize("tool", ["edit", "write", "apply_patch"])
async def test_text_that_the_files_encoding_cannot_hold_leaves_the_file_untouched(tmp_path: Path, tool: str) -> None:
    (tmp_path / "f").write_bytes(LATIN)
    arguments = {
        "edit": {"path": "f", "old_string": "x = 1", "new_string": "x = '漢'"},
        "write": {"path": "f", "content": "漢\n"},
        "apply_patch": {"patch": "*** Begin Patch\n*** Update File: f\n-x = 1\n+x = '漢'\n*** End Patch"},
    }[tool]
    async with connected(tmp_path) as tools:
        refused = await tools.refusal(tool, **arguments)
        assert "latin-1" in refused and "U+6F22" in refused and "nothing was written" in refused
    assert (tmp_path / "f").read_bytes() == LATIN


@pytest.mark.case("U04")
async def test_a_replacement_character_never_gets_into_a_file_that_has_none(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x = 1\n")
    async with connected(tmp_path) as tools:
        assert "U+FFFD" in await tools.refusal("edit", path="f", old_string="x", new_string="caf\ufffd")
        assert "U+FFFD" in await tools.refusal("write", path="g", content="caf\ufffd")
        patch = "*** Begin Patch\n*** Update File: f\n-x = 1\n+caf\ufffd\n*** End Patch"
        assert "U+FFFD" in await tools.refusal("apply_patch", patch=patch)
    assert (tmp_path / "f").read_text() == "x = 1\n" and not (tmp_path / "g").exists()


@pytest.mark.case("R38")
async def test_a_file_that_is_rewritten_keeps_its_mode_encoding_mark_and_line_ends(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    (tmp_path / "f").chmod(0o750)
    async with connected(tmp_path) as tools:
        text = await tools("write", path="f", content="c\nd\n")
        assert "keeping its UTF-8 with a byte order mark and CRLF line ends" in text
    assert (tmp_path / "f").read_bytes() == b"\xef\xbb\xbfc\r\nd\r\n"
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o750


@pytest.mark.case("U05")
async def test_a_loose_match_is_applied_in_the_files_style_and_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("def f():\n\treturn 1\n")
    async with connected(tmp_path) as tools:
        text = await edit(tools, "def f():\n    return 1", "def f():\n    if x:\n        return 2\n    return 1")
        assert "matched only with other whitespace" in text and "3\t\t\treturn 2" in text
    assert (tmp_path / "f").read_text() == "def f():\n\tif x:\n\t\treturn 2\n\treturn 1\n"


@pytest.mark.case("R39")
@pytest.mark.case("U05")
async def test_a_text_that_is_there_not_at_all_or_twice_is_refused_with_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("alpha()\nbeta(1)\nalpha()\n")
    async with connected(tmp_path) as tools:
        refused = await tools.refusal("edit", path="f", old_string="alpha()", new_string="x")
        assert "2 times, at lines 1, 3" in refused and "replace_all" in refused
        refused = await tools.refusal("edit", path="f", old_string="beta(2)", new_string="x")
        assert "not in f" in refused and "line 2" in refused and "file: beta(1)" in refused
        assert "the same" in await tools.refusal("edit", path="f", old_string="alpha", new_string="alpha")
        assert "old_string is empty" in await tools.refusal("edit", path="f", old_string="", new_string="x")
        assert (tmp_path / "f").read_text() == "alpha()\nbeta(1)\nalpha()\n"
        assert "2 places" in await edit(tools, "alpha()", "gamma()", replace_all=True)
    assert (tmp_path / "f").read_text() == "gamma()\nbeta(1)\ngamma()\n"


@pytest.mark.case("R39")
async def test_a_file_that_is_gone_or_may_not_be_written_is_refused_with_the_precise_reason(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        for name in ("gone", "locked"):
            (tmp_path / name).write_text("x = 1\n")
            await tools("read", path=name)
        (tmp_path / "gone").unlink()
        refused = await tools.refusal("edit", path="gone", old_string="x", new_string="y")
        assert "no file gone any more: it was deleted or renamed" in refused
        (tmp_path / "locked").chmod(0o444)
        for tool, rest in (("edit", {"old_string": "x", "new_string": "y"}), ("write", {"content": "y"})):
            assert "locked is read-only (mode 0444)" in await tools.refusal(tool, path="locked", **rest)
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "f").write_text("x\n")
        folder.chmod(0o555)
        try:
            for tool, path, rest in (
                ("edit", "folder/f", {"old_string": "x", "new_string": "y"}),
                ("write", "folder/f", {"content": "y"}),
                ("write", "folder/new", {"content": "y"}),
            ):
                assert "read-only" in await tools.refusal(tool, path=path, **rest)
            assert [path.name for path in folder.iterdir()] == ["f"]
        finally:
            folder.chmod(0o755)
        assert (folder / "f").read_text() == "x\n" and (tmp_path / "locked").read_text() == "x = 1\n"


@pytest.mark.case("U25")
async def test_a_time_stamp_alone_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\nb\n")
    async with connected(tmp_path) as tools:
        await tools("read", path="f")
        os.utime(tmp_path / "f", (1, 1))
        assert "changed" not in await edit(tools, "a", "c")


@pytest.mark.case("U25")
@pytest.mark.case("R39")
async def test_a_change_elsewhere_in_the_file_is_kept_and_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one\ntwo\nthree\nfour\n")
    async with connected(tmp_path) as tools:
        await tools("read", path="f")
        (tmp_path / "f").write_text("zero\none\ntwo\nthree\n4\n5\n")
        text = await edit(tools, "two", "2")
        assert "changed elsewhere since you last read it (+3/-1 lines)" in text
        assert (tmp_path / "f").read_text() == "zero\none\n2\nthree\n4\n5\n"
        assert "changed" not in await edit(tools, "three", "3")


@pytest.mark.case("U25")
@pytest.mark.case("R39")
async def test_a_change_right_there_is_answered_with_the_fresh_text_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"line {i}\n" for i in range(100)))
    async with connected(tmp_path) as tools:
        await tools("read", path="f")
        (tmp_path / "f").write_text((tmp_path / "f").read_text().replace("line 50\n", "line fifty\n"))
        now = (tmp_path / "f").read_bytes()
        refused = await tools.refusal("edit", path="f", old_string="line 49\nline fifty\n", new_string="x\n")
        assert "changed since you last read it (+1/-1 lines)" in refused and "51\tline fifty" in refused
        assert (tmp_path / "f").read_bytes() == now
        await edit(tools, "line 49\nline fifty\n", "x\n")


@pytest.mark.case("U25")
async def test_a_file_written_by_somebody_else_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\n")
    async with connected(tmp_path) as tools:
        await tools("read", path="f")
        (tmp_path / "f").write_text("a\nprecious\n")
        assert "(+1/-0 lines)" in await tools.refusal("write", path="f", content="b\n")
        assert (tmp_path / "f").read_text() == "a\nprecious\n"
        await tools("write", path="f", content="b\nprecious\n")


@pytest.mark.case("U25")
async def test_the_second_identical_failure_brings_the_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("def f():\n    return 1\n")
    bad = {"path": "f", "old_string": "return 7", "new_string": "return 8"}
    async with connected(tmp_path) as tools:
        first = await tools.refusal("edit", **bad)
        assert "failed" not in first
        second = await tools.refusal("edit", **bad)
        assert "failed 2 times in a row" in second and "1\tdef f():\n2\t    return 1" in second
        third = await tools.refusal("edit", **bad)
        assert "failed 3 times in a row" in third and len({first, second, third}) == 3
        await tools.refusal("edit", path="f", old_string="other", new_string="x")
        assert "in a row" not in await tools.refusal("edit", **bad)


async def test_edits_that_come_at_once_all_happen(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"<{i}>\n" for i in range(30)))
    async with connected(tmp_path) as tools:
        await asyncio.gather(*(edit(tools, f"<{i}>", f"[{i}]") for i in range(30)))
    assert (tmp_path / "f").read_text() == "".join(f"[{i}]\n" for i in range(30))


async def test_an_edit_of_a_link_changes_what_it_points_to_and_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x\n")
    (tmp_path / "relative").symlink_to("real")
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    async with connected(tmp_path) as tools:
        assert "Edited real" in await edit(tools, "x", "y", "relative")
        assert "1\ty" in await tools("read", path="absolute")
        await tools("write", path="absolute", content="z\n")
    assert (tmp_path / "relative").is_symlink() and (tmp_path / "absolute").is_symlink()
    assert (tmp_path / "real").read_text() == "z\n"


async def test_hard_linked_copies_elsewhere_are_not_changed(tmp_path: Path) -> None:
    work, store = tmp_path / "work", tmp_path / "store"
    work.mkdir()
    store.write_text("x\n")
    os.link(store, work / "f")
    async with connected(work) as tools:
        await edit(tools, "x", "y")
    assert store.read_text() == "x\n"
