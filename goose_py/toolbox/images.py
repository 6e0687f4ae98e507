"""Images within what model APIs take: a picture too large poisons every later request of a session."""

import base64
import io
from typing import Any

from goose_py.protocol.messages import Image

LONG_SIDE = 1568
"""Pixels beyond which Anthropic scales an image down itself; every pixel above costs time and shows nothing more."""

MAX_BYTES = 3_500_000
"""Anthropic takes at most 5 MB of base64 an image, which is 3.75 MB; OpenAI takes more."""

MAX_PIXELS = 60_000_000
"""A picture that would need more memory than this to be decoded is not."""

_MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


def bounded_image(raw: bytes) -> Image | None:
    """The image as a part of a message: as it is where the APIs take it, scaled down and in PNG or JPEG where not.

    The format is read from the bytes. None where they are no image that can be decoded within the bounds."""
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        picture = Pillow.open(io.BytesIO(raw))
        media = _MEDIA.get(picture.format or "")
        if picture.width * picture.height > MAX_PIXELS:
            return None
        if media and max(picture.size) <= LONG_SIDE and len(raw) <= MAX_BYTES:
            picture.verify()
            return Image(media_type=media, data=base64.b64encode(raw).decode("ascii"))
        picture.thumbnail((LONG_SIDE, LONG_SIDE))
        return _encode(picture)
    except (UnidentifiedImageError, Pillow.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None


def _encode(picture: Any) -> Image | None:
    for format_, media, options in (("PNG", "image/png", {"optimize": True}), ("JPEG", "image/jpeg", {"quality": 80})):
        out = io.BytesIO()
        mode = "RGB" if format_ == "JPEG" or picture.mode not in ("RGB", "RGBA", "L", "P", "1") else picture.mode
        picture.convert(mode).save(out, format_, **options)
        if out.tell() <= MAX_BYTES:
            return Image(media_type=media, data=base64.b64encode(out.getvalue()).decode("ascii"))
    return None
