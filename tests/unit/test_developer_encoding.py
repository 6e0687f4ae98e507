"""Files in any encoding keep every byte that is not edited, and never gain a replacement character."""

import codecs

import pytest
from developer_extension import module
from hypothesis import assume, given, settings
from hypothesis import strategies as st

encoding = module("editing.encoding")
Lines = module("editing.lines").Lines
locate = module("editing.matching").locate
Found = module("editing.matching").Found
Refused = module("refusal").Refused

MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
JAPANESE = "これは日本語のテキストです。\nx = 1\nカタカナもあります\n"
CHINESE = "# 这是一个中文的文件，我们在这里写一些说明\nx = 1\n"
FRENCH = "# déjà vu à la fenêtre\nx = 1\n"


@pytest.mark.parametrize("name", MARKS)
def test_a_byte_order_mark_tells_the_encoding_and_stays(name: str) -> None:
    data = MARKS[name] + "é = 1\n".encode(name)
    file = encoding.decode(data, "f")
    assert (file.text, file.encoding, file.mark) == ("é = 1\n", name, MARKS[name])
    assert file.spliced([(4, 5, "漢")], "f") == MARKS[name] + "é = 漢\n".encode(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [(JAPANESE, "cp932"), (CHINESE, "gbk"), (FRENCH, "latin-1"), ("a “quoted” word — dash\n", "cp1252")],
)
def test_encodings_without_any_sign_are_recognised_by_their_bytes(text: str, name: str) -> None:
    file = encoding.decode(text.encode(name), "f")
    assert (file.text, file.encoding, file.declared) == (text, name, False)


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_recognised(name: str) -> None:
    file = encoding.decode("plain words\r\n".encode(name), "f")
    assert (file.text, file.encoding) == ("plain words\r\n", name)


@pytest.mark.parametrize(
    "declaration", ["# -*- coding: {} -*-\n", '<?xml version="1.0" encoding="{}"?>\n', '<meta charset="{}">\n']
)
def test_a_declared_encoding_is_used(declaration: str) -> None:
    text = declaration.format("iso-8859-5") + "привет\n"
    file = encoding.decode(text.encode("iso-8859-5"), "f")
    assert (file.text, file.declared) == (text, True)


def test_a_wrong_declaration_is_no_reason_to_fail() -> None:
    data = "# coding: nonsense\né\n".encode("latin-1")
    assert encoding.decode(data, "f").text == "# coding: nonsense\né\n"


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"ELF\0\0\x01", b"\0" * 100, b"a\0b\0\0c"])
def test_binary_content_is_refused(data: bytes) -> None:
    assert encoding.is_binary(data)
    with pytest.raises(Refused, match="binary"):
        encoding.decode(data, "f")


def test_text_that_the_files_encoding_cannot_hold_is_refused_naming_the_character() -> None:
    file = encoding.decode(FRENCH.encode("latin-1"), "notes.txt")
    with pytest.raises(Refused, match=r"notes\.txt .*latin-1.*U\+6F22.*nothing was written"):
        file.spliced([(0, 0, "漢")], "notes.txt")


def test_half_of_a_surrogate_pair_is_refused_and_not_written() -> None:
    with pytest.raises(Refused, match=r"U\+D83D"):
        encoding.encode_new("\ud83d", "f")


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_whatever_decodes_encodes_back_to_the_same_bytes_without_new_replacement_characters(data: bytes) -> None:
    try:
        file = encoding.decode(data, "f")
    except Refused:
        return
    assert file.spliced([], "f") == data
    assert "\ufffd" not in file.text or "\ufffd".encode(file.encoding) in data


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8+", "utf-16-le+", "utf-16-be+", "utf-32-le+", "latin-1", "cp932", "gbk"])
ALPHABETS = {"latin-1": "abc é à ß", "cp932": "abc かなカ日本", "gbk": "abc 中文的是我"}


@st.composite
def edited_files(draw: st.DrawFn) -> tuple[bytes, bytes, bytes, str]:
    """(bytes before the edited line, the line and its end, bytes after it, encoding with + for a mark)"""
    name = draw(ENCODINGS)
    codec = name.removesuffix("+")
    words = st.text(alphabet=ALPHABETS.get(codec, "ab é漢😀 \t"), max_size=8)
    part = st.lists(st.tuples(words, LINE_ENDS), max_size=5).map(lambda lines: "".join(a + b for a, b in lines))
    before, after, last = draw(part), draw(part), draw(words)
    if after.startswith("\n"):
        after = "x" + after  # else a lone \r before it would be half of a line end
    mark = MARKS[codec] if name.endswith("+") else b""
    target = "NEEDLE = 1" + draw(LINE_ENDS)
    return mark + before.encode(codec), target.encode(codec), (after + last).encode(codec), codec


@pytest.mark.case("U04")
@pytest.mark.case("R38")
@given(edited_files(), st.sampled_from(["NEEDLE = 2", "NEEDLE = 2\nMORE = 3", ""]))
@settings(max_examples=400)
def test_an_edit_of_one_line_leaves_every_byte_outside_of_it_as_it_was(
    parts: tuple[bytes, bytes, bytes, str], new: str
) -> None:
    before, target, after, codec = parts
    # A lone \\r and a \\n that meet when a whole text goes would be one line end: an \\r more keeps them two.
    assume(new or not (before.endswith("\r".encode(codec)) and target.endswith(" = 1\n".encode(codec))))
    file = encoding.decode(before + target + after, "f")
    lines = Lines(file.text)
    found = locate(lines.view, "NEEDLE = 1", new)
    assert isinstance(found, Found)
    data = file.spliced(lines.splices(list(found.changes)), "f")
    line_end = target[len("NEEDLE = 1".encode(codec)) :]
    assert data.startswith(before)
    assert data.endswith(line_end + after)
    middle = data[len(before) : len(data) - len(line_end + after)].decode(codec)
    assert middle.replace("\r\n", "\n").replace("\r", "\n") == new
