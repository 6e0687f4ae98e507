"""What the bytes of a terminal mean: keys, pastes, and what only looks like keys."""

import random

import pytest

from goose_py.tui.input.bursts import ESCAPE, QUIET, STALLED, Bursts, Entered, Pasted, Pressed
from goose_py.tui.input.keys import KeyReader

OPEN, CLOSE = b"\x1b[200~", b"\x1b[201~"
FOREVER = 60.0


def read(*bursts: bytes) -> list[Pasted | Entered | Pressed]:
    """What comes of bursts that follow each other closely, and then of silence."""
    reader = Bursts()
    found = [each for burst in bursts for each in reader.feed(burst)]
    while reader.patience is not None:
        found += reader.silence(reader.patience)
    return found


def pasted(*bursts: bytes) -> str:
    found = read(*bursts)
    assert all(isinstance(each, Pasted) for each in found), found
    return "".join(each.text for each in found)


def keys(*bursts: bytes) -> list[str]:
    """The names of the keys that take effect, as the app is told of them."""
    reader = KeyReader()
    names = []
    for each in read(*bursts):
        if isinstance(each, Pressed):
            found = [event.key for event in reader.read(each.sequence) if hasattr(event, "key")]
            names += [name for name in found if each.alone or name not in ("enter", "tab")]
    return names


@pytest.mark.case("T01")
@pytest.mark.parametrize(
    "text",
    [
        "x\x1bx\x15!touch F\r",
        "\x1b[31mred\x1b[0m\r\n",
        "\x1b[13u\x1b[Z\x1bOR\x03\x11\r",
        "\x1b",
        "\x1b[20",
        "日本語\r\nzwei\r",
        "\x1b[200~again",
        "a\x00b",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 4096])
def test_a_bracketed_paste_is_text_to_its_end_marker_however_it_is_cut(text: str, size: int):
    data = OPEN + text.encode() + CLOSE
    assert pasted(*(data[at : at + size] for at in range(0, len(data), size))) == text


@pytest.mark.case("T01")
@pytest.mark.parametrize("rest", [[b"\r"], [b"!touch F\r"], [b"x\r", b"\r", b"\r"], [b"\x03", b"!touch F", b"\r"]])
def test_what_follows_an_end_marker_without_a_pause_is_still_pasted(rest: list[bytes]):
    follows = b"".join(rest).decode()
    assert pasted(OPEN + b"a" + CLOSE + b"".join(rest)) == "a" + follows
    assert pasted(OPEN + b"a" + CLOSE, *rest) == "a" + follows
    forged = OPEN + b"a" + CLOSE + b"".join(rest) + CLOSE
    assert pasted(forged) == "a\x1b[201~" + follows


def test_after_a_pause_keys_are_keys_again():
    reader = Bursts()
    assert reader.feed(OPEN + b"a" + CLOSE) == []
    assert reader.silence(QUIET / 2) == []
    assert reader.silence(QUIET) == [Pasted("a")]
    assert reader.feed(b"\r") == [Pressed("\r")]


def test_a_paste_that_never_ends_is_shown_and_broken_off_by_ctrl_c():
    reader = Bursts()
    assert reader.feed(OPEN + b"a\r") == []
    assert reader.silence(STALLED / 2) == []
    assert reader.silence(STALLED) == [Pasted("a\r")]
    assert reader.feed(b"\r") == [] and reader.silence(QUIET) == [Pasted("\r")]
    assert reader.feed(b"\x03") == [] and reader.silence(QUIET) == []
    assert reader.feed(b"\r") == [Pressed("\r")]


@pytest.mark.case("T03")
@pytest.mark.parametrize("key", [b"\x03", b"\x1b"])
@pytest.mark.parametrize("before", [b"", b"half"])
def test_a_paste_whose_end_never_comes_is_left_by_one_key_with_silence_around_it(key: bytes, before: bytes):
    reader = Bursts()
    found = reader.feed(OPEN + before) + reader.silence(QUIET)
    assert found == [] and reader.feed(key) == []
    assert reader.silence(QUIET) == ([Pasted(before.decode())] if before else []) and reader.patience is None
    assert reader.feed(b"\x1bOP") == [Pressed("\x1bOP")]


@pytest.mark.case("T01")
@pytest.mark.parametrize("key", [b"\x03", b"\x1b"])
def test_a_key_within_a_paste_that_goes_on_is_a_part_of_it(key: bytes):
    reader = Bursts()
    assert reader.feed(OPEN + b"a") + reader.feed(key) == []
    assert reader.feed(b"b" + CLOSE) == [] and reader.silence(QUIET) == [Pasted("a" + key.decode() + "b")]


@pytest.mark.case("T03")
@pytest.mark.parametrize(
    "bursts",
    [
        [b"one\rtwo\rthree\r"],
        [b"one\n"],
        [b"!touch F\rx\r"],
        [b"hello\r", b"x"],
        [b"\rhello"],
        [b"a\tb"],
        [b"one\r\x1b[Atwo\r"],
        [b"line\r", b"\r"],
        [b"x" * 4095, b"\r"],
        [b"one\x03\x03\x11\r"],
    ],
)
def test_lines_in_one_burst_are_a_paste_and_send_nothing(bursts: list[bytes]):
    assert pasted(*bursts) == b"".join(bursts).decode()


@pytest.mark.parametrize("line", ["hello", "y", "日本 語", "!touch F"])
def test_one_line_with_its_enter_and_nothing_after_it_was_entered(line: str):
    assert read(f"{line}\r".encode()) == [Entered(line)]
    assert pasted(OPEN + line.encode() + b"\r" + CLOSE) == f"{line}\r"


def test_an_enter_or_a_tab_that_did_not_come_alone_is_none():
    assert keys(b"\x1b[A\r") == ["up"]
    assert keys(b"\x1b[B\t") == ["down"]
    assert keys(b"\r\r\r") == []
    assert keys(b"\r") == ["enter"] and keys(b"\t") == ["tab"]


def test_letters_at_once_are_a_paste_but_for_two():
    assert read(b"RC!") == [Pasted("RC!")]
    assert keys(b"jk") == ["j", "k"]
    assert read(b"abc\x7f\x1b[Z\x11c") == [Pasted("abc\x7f\x1b[Z\x11c")]
    assert read(b"abc\x1b") == [Pasted("abc\x1b")]
    assert read(b"abc\x1b[I") == [Pasted("abc"), Pressed("\x1b[I")]


def test_what_a_terminal_reports_by_itself_makes_no_burst():
    assert keys(b"\x1b[<35;10;5M\r\x1b[<35;11;5M") == ["enter"]
    assert keys(b"\x1b[I\r") == ["enter"]
    assert keys(b"\x1b[?2026;2$y\r") == ["enter"]


def test_a_burst_of_the_kitty_protocol_was_typed():
    assert keys(b"\x1b[104;;104u\x1b[105;;105u\x1b[13u") == ["h", "i", "enter"]
    assert keys(b"h\x1b[13u") == ["h"]


def test_an_escape_waits_for_its_rest_and_no_longer():
    reader = Bursts()
    assert reader.feed(b"\x1b") == [] and reader.patience == ESCAPE
    assert reader.feed(b"[A") == [Pressed("\x1b[A")]
    assert reader.feed(b"\x1b") == [] and reader.silence(ESCAPE) == [Pressed("\x1b")]
    assert keys(b"\x1b") == ["escape"] and keys(b"\x1bt") == ["alt+t"] and keys(b"\x1b\r") == ["alt+enter"]


@pytest.mark.parametrize(
    ("sequence", "key"),
    [
        (b"\x1bOR", "f3"), (b"\x1b[Z", "shift+tab"), (b"\x1b[1;3A", "alt+up"), (b"\x0f", "ctrl+o"), (b"\x1b[5~", "pageup"),
        (b"\x1b[13;2u", "shift+enter"), ("é".encode(), "é"), (b" ", "space"), (b"\x1b[127u", "backspace"),
    ],
)  # fmt: skip
def test_keys_have_the_names_that_bindings_use(sequence: bytes, key: str):
    assert [name.replace("latin_small_letter_e_with_acute", "é") for name in keys(sequence)] == [key]


@pytest.mark.parametrize(
    "junk", [b"\xff\xfe", b"\x1b[99999999u", b"\x1b[55296u", b"\x1b[48;9999999;9999999;1;1t", b"\x1b[;;;u", b"\x1b]0;x\x07"]
)
def test_what_is_no_key_is_no_key(junk: bytes):
    keys(junk)
    assert keys(b"\x1b[999z") == [] and keys(b"\x1b[99999999u") == []


def test_no_bytes_whatever_break_the_reading_or_send_something():
    rng = random.Random(1)
    parts = [OPEN, CLOSE, b"\x1b", b"\x1b[", b"\r", b"\t", b"\n", b"abc", b"\x1b[13u", b"\x1b]", b"\x9b", b"\xc3", b"\x03"]
    for _ in range(3000):
        reader, decode = Bursts(), KeyReader()
        for _ in range(rng.randrange(1, 6)):
            some = [rng.choice(parts) if rng.random() < 0.7 else rng.randbytes(3) for _ in range(rng.randrange(1, 8))]
            found = reader.feed(b"".join([*some, b"xyz"]))
            if rng.random() < 0.5 and reader.patience is not None:
                found += reader.silence(reader.patience)
            for each in found:
                if isinstance(each, Pressed):
                    names = [event.key for event in decode.read(each.sequence) if hasattr(event, "key")]
                    assert not (each.alone and {"enter", "tab"} & set(names)), (some, each)


def test_a_long_paste_takes_time_in_proportion():
    reader = Bursts()
    reader.feed(OPEN)
    block = b"\x1b[201" * 700
    for _ in range(2000):
        reader.feed(block)
    reader.feed(CLOSE)
    (paste,) = reader.silence(QUIET)
    assert isinstance(paste, Pasted) and len(paste.text) == 2000 * len(block)
    assert len(pasted((OPEN + CLOSE) * 20_000)) >= 0
    read(OPEN + b"x", *([b"\r"] * 3), CLOSE, *([b"y"] * 3))
    assert reader.silence(FOREVER) == []
