"""What a model is shown of a command's output, however much or strange it is."""

import os
from pathlib import Path

import pytest
from developer_extension import module

capture_module = module("shell.capture")
Capture = capture_module.Capture


def captured(tmp_path: Path, *chunks: bytes) -> "Capture":
    capture = Capture(tmp_path / "log")
    for chunk in chunks:
        capture.feed(chunk)
    return capture


def test_short_output_is_shown_whole_and_needs_no_log(tmp_path: Path) -> None:
    capture = captured(tmp_path, b"one\n", b"two\n")
    assert capture.excerpt() == "one\ntwo"
    assert not (tmp_path / "log").exists()


@pytest.mark.case("U24")
def test_long_output_keeps_its_head_and_tail_and_counts_what_is_between(tmp_path: Path) -> None:
    lines = [b"line %06d\n" % i for i in range(20_000)]
    capture = captured(tmp_path, *lines)
    head, gap, tail = (
        part.strip("\n") for part in capture.excerpt().replace("[…", "\0[…").replace("…]", "…]\0").split("\0")
    )
    shown = head.count("\n") + tail.count("\n") + 2
    assert head.startswith("line 000000\n") and tail.endswith("\nline 019999")
    assert f"{20_000 - shown:,} lines" in gap
    assert str(tmp_path / "log") in gap
    assert (tmp_path / "log").read_bytes() == b"".join(lines)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


@pytest.mark.case("R28")
def test_a_line_of_five_megabytes_is_cut_and_says_so(tmp_path: Path) -> None:
    text = captured(tmp_path, b"<" + b"x" * 5_000_000 + b">\n").excerpt()
    assert len(text) < 40_000
    assert text.startswith("<xxx") and text.endswith("xxx>")
    assert "characters cut" in text and "5.0 MB omitted" in text


@pytest.mark.case("R28")
def test_bytes_that_are_no_text_become_visible_characters(tmp_path: Path) -> None:
    text = captured(tmp_path, b"a\0b\xff\xfe\x07\x9b31m c\n").excerpt()
    assert text == "a␀b\ufffd\ufffd␇\ufffd31m c"


@pytest.mark.case("R28")
def test_of_a_progress_bar_the_last_state_of_each_line_is_shown(tmp_path: Path) -> None:
    text = captured(tmp_path, b"".join(b"\r%3d%%" % i for i in range(101)) + b"\r\ndone\r\n").excerpt()
    assert text == "100%\ndone"


def test_colours_and_titles_are_taken_off(tmp_path: Path) -> None:
    assert (
        captured(tmp_path, b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://e\x1b\\link\x1b]8;;\x1b\\").excerpt()
        == "red link"
    )


def test_a_character_split_between_two_chunks_comes_whole_in_the_live_output(tmp_path: Path) -> None:
    capture = captured(tmp_path, "é".encode()[:1])
    first = capture.take_live()
    capture.feed("é".encode()[1:] + b"!")
    assert first + capture.take_live() == "é!"


def test_of_a_flood_the_live_output_is_the_latest_and_says_so(tmp_path: Path) -> None:
    capture = captured(tmp_path, b"a" * 100_000, b"end")
    live = capture.take_live()
    assert live.endswith("end") and "not shown live" in live and len(live) < 9_000


@pytest.mark.case("R27")
def test_memory_does_not_grow_with_the_output_and_a_jobs_log_turns_over(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "log", eager=True)
    capture.rotating = True
    chunk = os.urandom(1 << 16)
    for _ in range(2000):
        capture.feed(chunk)
    assert len(capture.recent()) < 100_000
    stored = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert stored <= capture_module.OUTPUT_LIMIT + (1 << 17)
    assert not capture.flooded
    assert f"{tmp_path / 'log'}.1" in capture.excerpt()


def test_a_log_that_cannot_be_written_is_said_and_the_output_still_shown(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "missing" / "log")
    capture.feed(b"x\n" * 50_000)
    assert "no full log: No such file or directory" in capture.excerpt()
