"""Pictures for a model to look at: recognised by content, scaled down to what models take."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .display import printable, size
from .refusal import Refused

if TYPE_CHECKING:
    from PIL import Image  # loaded when a picture is shown

MAX_EDGE = 1568  # pixels; larger pictures are scaled down by the models' own front ends anyway
MAX_FILE_BYTES = 50_000_000
_MAX_SENT_BYTES = 3_750_000  # 5 MB, a common limit, after base64
_MAX_PIXELS = 100_000_000  # what a decoder may be asked to unpack
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")


@dataclass(frozen=True)
class Picture:
    """Encoded bytes to send, their media type, and a sentence about the original."""

    data: bytes
    media_type: str
    note: str


def is_picture(data: bytes) -> bool:
    """True for the signatures of PNG, JPEG, GIF and WebP."""
    return data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")) or (
        data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    )


def picture(data: bytes, path: str) -> Picture:
    """The picture as it is when it is small enough, else scaled so that no edge exceeds MAX_EDGE and it stays below
    3.75 MB.

    Of an animation the first frame is taken once scaling is needed. Raises Refused for damaged or absurdly large
    pictures.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise Refused(f"{printable(path)} is a picture; showing it needs the Python package pillow.") from None
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            width, height, kind = opened.width, opened.height, opened.format or "PNG"
            if width * height > _MAX_PIXELS:
                raise Refused(f"{printable(path)} is a picture of {width}x{height} pixels, too large to show.")
            frames = getattr(opened, "n_frames", 1)
            name = f"{printable(path)}: {kind} picture, {width}x{height} pixels, {size(len(data))}"
            if max(width, height) <= MAX_EDGE and len(data) <= _MAX_SENT_BYTES:
                return Picture(data, Image.MIME[kind], name)
            upright = ImageOps.exif_transpose(opened)
            upright.thumbnail((MAX_EDGE, MAX_EDGE))
            sent, media_type = _encoded(upright)
            first = f", the first of {frames} frames" if frames > 1 else ""
            return Picture(sent, media_type, f"{name}; shown at {upright.width}x{upright.height}{first}")
    except Image.DecompressionBombError:
        raise Refused(f"{printable(path)} is a picture of so many pixels that it is too large to show.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise Refused(
            f"{printable(path)} looks like a picture but cannot be read: it is damaged or incomplete."
        ) from error


def _encoded(image: "Image.Image") -> tuple[bytes, str]:
    """PNG when it is small enough that way (screenshots, plots), else JPEG."""
    if image.mode not in ("RGB", "RGBA", "L", "LA"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    png = io.BytesIO()
    image.save(png, "PNG")
    if png.tell() <= _MAX_SENT_BYTES // 4:
        return png.getvalue(), "image/png"
    jpeg = io.BytesIO()
    image.convert("RGB").save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue(), "image/jpeg"
