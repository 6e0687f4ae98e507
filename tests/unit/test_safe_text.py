"""What everybody else writes, made fit for a terminal."""

import unicodedata

import pytest

from goose_py.protocol.safe_text import find_hidden, safe_line, safe_text

ATTACKS = [
    "\x1b]52;c;cHduZWQ=\x1b\\", "\x1b]8;;file:///etc/passwd\x07x\x1b]8;;\x07", "\x1b]0;title\x07", "\x1b[2J",
    "\x1b[6n", "\x1bP1$r\x1b\\",
    "\x9b31m", "\x9d52;c;x\x9c", "\x90x\x9c", "a\rb", "a\x08b", "\x00", "\x07", "\x0e", "\x7f", "\x85", "\x1b", "\x1bc",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_control_character_is_left(attack: str) -> None:
    for shown in (safe_text(attack), safe_line(attack), safe_text(f"é{attack}"), safe_text(f"x\n{attack}")):
        assert all(char.isprintable() or char == "\n" for char in shown)
        assert "\\x" in shown or "\\r" in shown


def test_every_control_and_format_character_is_shown_and_every_letter_kept() -> None:
    keeps_shape = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    keeps_shape |= set(range(0x13430, 0x13440))  # Egyptian hieroglyph joiners lay out the signs around them
    for code in range(0x110000):
        char = chr(code)
        category = unicodedata.category(char)
        shown = safe_text(f"a{char}b")
        if category in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in "\n\t" and code not in keeps_shape:
            assert shown in (f"a\\u{{{code:x}}}b", f"a\\x{code:02x}b", "a\\rb"), hex(code)
        elif category[0] in "LNPS" and code not in (0x115F, 0x1160, 0x3164, 0xFFA0):
            assert shown == f"a{char}b", hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\n\tlines", "two\n\tlines"),
        ("naïve 日本語 ע العربية", "naïve 日本語 ע العربية"),
        ("safe\u202egnp.exe", "safe\\u{202e}gnp.exe"),
        ("pay\u200bpal", "pay\\u{200b}pal"),
        ("\U000e0041\U000e007f", "\\u{e0041}\\u{e007f}"),
        ("a\u2028b", "a\\u{2028}b"),
        ("\ud800", "\\u{d800}"),
        ("\ufeffx", "\\u{feff}x"),
        ("❤️ 👩‍💻 👨‍👩‍👧", "❤️ 👩‍💻 👨‍👩‍👧"),
        ("a\u200db", "a\\u{200d}b"),
        ("x\ufe0f\ufe0e\ufe0f", "x\ufe0f\\u{fe0e}\\u{fe0f}"),
        ("x\ufe01", "x\\u{fe01}"),
        ("\U000e0101", "\\u{e0101}"),
    ],
)
def test_what_hides_is_shown_and_what_has_a_shape_is_kept(text: str, shown: str) -> None:
    assert safe_text(text) == shown
    assert safe_text(shown) == shown


def test_one_line_stays_one_line() -> None:
    assert safe_line("a\nb\tc\r") == "a\\nb\\tc\\r"
    assert safe_line("plain") == "plain"


def test_plain_text_is_not_even_copied() -> None:
    text = "x" * 1000
    assert safe_text(text) is text


def test_hidden_characters_are_found_with_their_place() -> None:
    found = find_hidden("\ufefffirst\nab\u200bc\n\u202e\U000e0041")
    assert [(one.line, one.column, one.shown) for one in found] == [
        (2, 3, "\\u{200b}"), (3, 1, "\\u{202e}"), (3, 2, "\\u{e0041}"),
    ]  # fmt: skip
    assert find_hidden("plain \x1b text") == ()
    assert find_hidden("naïve") == ()
    assert len(find_hidden("\u200b" * 100, limit=7)) == 7
    assert find_hidden("a\ufeff")[0].column == 2
