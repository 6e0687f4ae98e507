"""MCP results as the model gets them: complete where they are small, cut with a note where they are not."""

import base64
import io
import os
from pathlib import Path

import pytest
from mcp_types import (
    Annotations,
    AudioContent,
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from PIL import Image as Pillow

from goose_py.protocol.messages import Image, Text
from goose_py.toolbox.images import LONG_SIDE, MAX_BYTES, MAX_PIXELS, bounded_image
from goose_py.toolbox.results import Bounds, Shelf, convert, cut


def text(words: str, audience: list[str] | None = None) -> TextContent:
    return TextContent(type="text", text=words, annotations=Annotations(audience=audience) if audience else None)


def picture(width: int, height: int, format_: str = "PNG", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Pillow.new(mode, (width, height), 200 if mode in ("L", "P") else (200, 10, 30, 255)[: len(mode)]).save(out, format_)
    return out.getvalue()


def image(raw: bytes, kind: str = "image/png") -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(raw).decode(), mime_type=kind)


def given(*blocks: ContentBlock, structured: object = None, folder: Path | None = None) -> tuple[Text | Image, ...]:
    return convert(blocks, structured, shelf=Shelf(folder=folder), stem="web__get", bounds=Bounds(text=1000, images=2))


def test_texts_are_one_part_in_their_order() -> None:
    assert given(text("one"), text("two")) == (Text("one\ntwo"),)


def test_a_result_without_content_says_so() -> None:
    assert given() == (Text("(no output)"),)
    assert given(text("")) == (Text("(no output)"),)


def test_structured_content_counts_only_where_there_is_no_other() -> None:
    assert given(structured={"answer": 42, "wörter": ["ja"]}) == (Text('{\n "answer": 42,\n "wörter": [\n  "ja"\n ]\n}'),)
    assert given(text("42"), structured={"answer": 42}) == (Text("42"),)


def test_what_is_for_the_user_alone_is_left_out_unless_it_is_all_there_is() -> None:
    assert given(text("a"), text("b", ["user"]), text("c", ["assistant"])) == (Text("a\nc"),)
    assert given(text("b", ["user"])) == (Text("b"),)


def test_a_small_image_passes_as_it_is() -> None:
    raw = picture(20, 10)
    assert given(image(raw)) == (Image(media_type="image/png", data=base64.b64encode(raw).decode()),)


def test_the_format_of_an_image_is_read_from_its_bytes_not_from_its_label() -> None:
    part = given(image(picture(20, 10, "JPEG"), "image/png"))[0]
    assert isinstance(part, Image)
    assert part.media_type == "image/jpeg"


@pytest.mark.parametrize(("format_", "mode"), [("BMP", "RGB"), ("TIFF", "CMYK"), ("TIFF", "L")])
def test_a_format_that_models_do_not_take_becomes_png(format_: str, mode: str) -> None:
    part = bounded_image(picture(20, 10, format_, mode))
    assert part is not None
    assert part.media_type == "image/png"
    assert Pillow.open(io.BytesIO(base64.b64decode(part.data))).size == (20, 10)


def test_a_large_image_is_scaled_down_within_what_models_take() -> None:
    part = bounded_image(picture(4000, 1000))
    assert part is not None
    raw = base64.b64decode(part.data)
    assert Pillow.open(io.BytesIO(raw)).size == (LONG_SIDE, LONG_SIDE // 4)
    assert len(raw) <= MAX_BYTES


def test_an_image_that_does_not_compress_is_sent_as_jpeg() -> None:
    noise = Pillow.frombytes("RGB", (1500, 1500), os.urandom(1500 * 1500 * 3))
    out = io.BytesIO()
    noise.save(out, "PNG")
    part = bounded_image(out.getvalue())
    assert part is not None
    assert part.media_type == "image/jpeg"
    assert len(base64.b64decode(part.data)) <= MAX_BYTES


def test_a_png_with_a_broken_description_is_shown_without_it() -> None:
    raw = picture(20, 10)
    end_of_header = 8 + 25
    broken = raw[:end_of_header] + b"\0\0\0\x03iCCPabc\0\0\0\0" + raw[end_of_header:]
    assert bounded_image(broken) == bounded_image(raw)


def test_an_image_that_unpacks_to_too_much_is_not_unpacked() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    assert bounded_image(picture(side, side, mode="L")) is None


@pytest.mark.parametrize("raw", [b"", b"not an image", picture(200, 200)[:60]])
def test_what_is_no_image_is_said_and_kept(raw: bytes, tmp_path: Path) -> None:
    part = given(image(raw), folder=tmp_path)[0]
    assert isinstance(part, Text)
    assert part.text.startswith("[an image that cannot be shown: image/png, ")
    assert Path(part.text.split("saved as ")[1].rstrip("]")).read_bytes() == raw


def test_more_images_than_can_be_shown_are_counted() -> None:
    raw = picture(4, 4)
    parts = given(image(raw), image(raw), image(raw))
    assert [type(part) for part in parts] == [Text, Image, Image]
    assert parts[0] == Text("[an image is left out: at most 2 are shown]")


def test_audio_and_files_are_saved_and_named(tmp_path: Path) -> None:
    data = base64.b64encode(b"RIFF").decode()
    blob = BlobResourceContents(uri="file:///a.pdf", mime_type="application/pdf", blob=data)
    parts = given(
        AudioContent(type="audio", data=data, mime_type="audio/wav"),
        EmbeddedResource(type="resource", resource=blob),
        folder=tmp_path,
    )
    assert len(parts) == 1
    first, second = parts[0].text.splitlines()
    assert first.startswith("[audio: audio/wav, 4 bytes, saved as ")
    assert first.endswith(".wav]")
    assert second.startswith("[resource file:///a.pdf: application/pdf, 4 bytes, saved as ")
    saved = list(tmp_path.iterdir())
    assert len(saved) == 2
    for path in saved:
        assert path.read_bytes() == b"RIFF"
        assert path.stat().st_mode & 0o777 == 0o600


def test_bytes_that_are_no_base64_are_said() -> None:
    part = given(AudioContent(type="audio", data="?", mime_type="audio/wav"))[0]
    assert part == Text("[audio: the server sent no valid base64]")


def test_resources_are_given_as_text_with_their_address() -> None:
    inside = TextResourceContents(uri="file:///a.txt", text="inside")
    link = ResourceLink(type="resource_link", name="b", uri="file:///b.txt", size=7)
    assert given(EmbeddedResource(type="resource", resource=inside), link) == (
        Text("[resource file:///a.txt]\ninside\n[resource b: file:///b.txt, 7 bytes]"),
    )


def test_a_long_text_keeps_its_head_and_more_of_its_tail_at_line_ends_with_counts(tmp_path: Path) -> None:
    whole = "\n".join(f"line {number}" for number in range(1000))
    shown = cut(whole, 1000, Shelf(folder=tmp_path), "web__get")
    head, _, rest = shown.partition("\n[… ")
    note, _, tail = rest.partition(" …]\n")
    assert whole.startswith(head + "\n")
    assert whole.endswith("\n" + tail)
    assert len(tail) > len(head)
    assert len(shown) < 1200
    lines = 1000 - len(head.splitlines()) - len(tail.splitlines())
    left_out = len(whole) - len(head) - len(tail)
    path = note.split("the whole is in ")[1]
    assert note == f"{lines} lines, {left_out:,} of {len(whole):,} characters left out; the whole is in {path}"
    assert Path(path).read_text() == whole
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_one_line_without_end_is_cut_too() -> None:
    shown = cut("x" * 50_000, 1000, Shelf(), "web__get")
    assert shown.startswith("x" * 400 + "\n[… 1 line, 49,000 of 50,000 characters left out …]\n")
    assert shown.endswith("x" * 600)


def test_where_the_file_cannot_be_written_the_cut_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "the whole is in" not in cut("x" * 5000, 1000, Shelf(folder=tmp_path / "file"), "web__get")
