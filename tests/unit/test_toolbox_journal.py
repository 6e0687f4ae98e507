"""What servers print is kept within bounds and is harmless to read."""

from pathlib import Path

import pytest

from goose_py.toolbox.server_log import MAX_FILE, Journal, plain


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;ZXZpbA==\x1b\\after", "after"),
        ("\x1bPdcs\x1b\\after", "after"),
        ("\x1b(Bx\x1b", "Bx"),
        ("a\x9b31mb\x00\x7f\x08c", "a31mbc"),
        ("10%\r20%\r\nend", "10%\n20%\nend"),
        ("tab\tand é 世 🪿", "tab\tand é 世 🪿"),
    ],
)
def test_no_escape_reaches_a_reader(raw: str, read: str) -> None:
    assert plain(raw) == read


def test_the_tail_has_the_last_lines_that_say_anything() -> None:
    journal = Journal()
    for number in range(100):
        journal.write(b"line %d\n\n" % number)
    assert journal.tail().splitlines() == [f"line {number}" for number in range(88, 100)]


def test_the_tail_survives_bytes_that_are_no_text() -> None:
    journal = Journal()
    journal.write(b"caf\xe9 \xff\n")
    assert journal.tail() == "caf� �"


def test_what_a_server_was_given_as_a_secret_is_not_repeated() -> None:
    journal = Journal(secrets=("s3cret-token", ""))
    journal.write(b"401 for token s3cret-token\n")
    assert journal.tail() == "401 for token [redacted]"


def test_a_new_process_begins_with_an_empty_tail() -> None:
    journal = Journal()
    journal.write(b"old\n")
    journal.clear()
    assert journal.tail() == ""


def test_the_file_is_private_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "web.log"
    journal = Journal(path)
    for _ in range(50):
        journal.write(b"x" * 99_999 + b"\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_size <= MAX_FILE
    assert path.with_name("web.log.old").stat().st_size <= MAX_FILE
    assert len(list(path.parent.iterdir())) == 2


def test_one_write_larger_than_the_file_keeps_its_end(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    Journal(path).write(b"a" * MAX_FILE + b"end")
    assert path.stat().st_size == MAX_FILE
    assert path.read_bytes().endswith(b"aend")


def test_a_log_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "web.log")
    journal.write(b"said\n")
    assert journal.tail() == "said"
