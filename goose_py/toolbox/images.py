"""Images within what model APIs take: a picture too large poisons every later request of a session."""

import base64
import io
import struct
from typing import Any

from goose_py.protocol.messages import Image

LONG_SIDE = 1568
"""Pixels beyond which Anthropic scales an image down itself; every pixel above costs time and shows nothing more."""

MAX_BYTES = 3_500_000
"""Anthropic takes at most 5 MB of base64 an image, which is 3.75 MB; OpenAI takes more."""

MAX_PIXELS = 60_000_000
"""A picture that would need more memory than this to be decoded is not."""

_MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


_PNG = b"\x89PNG\r\n\x1a\n"
_SHOWN_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def bounded_image(raw: bytes) -> Image | None:
    """The image as a part of a message: as it is where the APIs take it, scaled down and in PNG or JPEG where not.

    The format is read from the bytes. None where they are no image that can be decoded within the bounds."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        return _bounded(raw)
    except (UnidentifiedImageError, Pillow.DecompressionBombError, OSError, ValueError, SyntaxError):
        pass
    try:
        return _bounded(_without_extras(raw)) if raw.startswith(_PNG) else None
    except (UnidentifiedImageError, Pillow.DecompressionBombError, OSError, ValueError, SyntaxError, struct.error):
        return None


def _bounded(raw: bytes) -> Image | None:
    from PIL import Image as Pillow

    picture = Pillow.open(io.BytesIO(raw))
    media = _MEDIA.get(picture.format or "")
    if picture.width * picture.height > MAX_PIXELS:
        return None
    if media and max(picture.size) <= LONG_SIDE and len(raw) <= MAX_BYTES:
        picture.verify()
        return Image(media_type=media, data=base64.b64encode(raw).decode("ascii"))
    picture.thumbnail((LONG_SIDE, LONG_SIDE))
    return _encode(picture)


def _without_extras(png: bytes) -> bytes:
    """A PNG without its descriptive chunks (colour profile, text, …): the picture is whole where one of those is not, as
    in the tiny image of the official everything server."""
    kept, place = [_PNG], len(_PNG)
    while place < len(png):
        end = place + 12 + struct.unpack(">I", png[place : place + 4])[0]
        if png[place + 4 : place + 8] in _SHOWN_CHUNKS:
            kept.append(png[place:end])
        place = end
    return b"".join(kept)


def _encode(picture: Any) -> Image | None:
    for format_, media, options in (("PNG", "image/png", {"optimize": True}), ("JPEG", "image/jpeg", {"quality": 80})):
        out = io.BytesIO()
        mode = "RGB" if format_ == "JPEG" or picture.mode not in ("RGB", "RGBA", "L", "P", "1") else picture.mode
        picture.convert(mode).save(out, format_, **options)
        if out.tell() <= MAX_BYTES:
            return Image(media_type=media, data=base64.b64encode(out.getvalue()).decode("ascii"))
    return None
