"""From an MCP tool result to what the model is given: bounded, and saying where it was cut and how to read on."""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goose_py.protocol.messages import Image, Text
from goose_py.toolbox.images import bounded_image

MAX_TEXT = 32_000
MAX_TRUSTED_TEXT = 200_000
MAX_IMAGES = 8
_HEAD_SHARE = 0.4

_SUFFIXES = {"audio/wav": ".wav", "audio/mpeg": ".mp3", "audio/ogg": ".ogg", "application/pdf": ".pdf"}


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """Where what does not fit into a result is kept. `folder` None keeps nothing. `redact` takes secrets out of text."""

    folder: Path | None = None
    redact: Callable[[str], str] = str

    def keep(self, data: bytes, stem: str, suffix: str) -> Path | None:
        """Write `data` under a name made of its content, readable by the user alone; None where it cannot be kept."""
        if self.folder is None:
            return None
        path = self.folder / f"{stem}-{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
                file.write(data)
        except OSError:
            return None
        return path


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    text: int = MAX_TEXT
    images: int = MAX_IMAGES


def convert(content: Sequence[Any], structured: Any, *, shelf: Shelf, stem: str, bounds: Bounds) -> tuple[Text | Image, ...]:
    """The content blocks of a result (with the attributes of `mcp.types.ContentBlock`), in their order, all text in one part
    before the images. Structured content counts only where there is no other: MCP has servers repeat it as text.

    Decodes images and writes files: call it in a thread where the content is not small."""
    texts: list[str] = []
    images: list[Image] = []
    for block in for_model(content):
        text, image = _block(block, shelf, stem)
        if image is not None and len(images) < bounds.images:
            images.append(image)
        elif image is not None:
            text = f"[an image is left out: at most {bounds.images} are shown]"
        if text is not None:
            texts.append(text)
    if not content and structured is not None:
        texts.append(json.dumps(structured, ensure_ascii=False, indent=1))
    joined = cut("\n".join(texts), bounds.text, shelf, stem) if texts else ""
    if not joined and not images:
        joined = "(no output)"
    return (*((Text(joined),) if joined else ()), *images)


def is_small(content: Sequence[Any]) -> bool:
    """True where converting takes no time worth a thread."""
    return len(content) <= 4 and all(block.type == "text" and len(block.text) < MAX_TEXT for block in content)


def for_model(content: Iterable[Any]) -> list[Any]:
    """The blocks that are meant for the model. What is for the user's eyes alone is left out, unless that is all."""
    blocks = list(content)
    kept = [block for block in blocks if _audience(block) != ["user"]]
    return kept or blocks


def _audience(block: Any) -> list[str] | None:
    return getattr(getattr(block, "annotations", None), "audience", None)


def _block(block: Any, shelf: Shelf, stem: str) -> tuple[str | None, Image | None]:
    match block.type:
        case "text":
            return block.text, None
        case "image":
            return _image(block.data, block.mime_type, shelf, stem)
        case "audio":
            return _kept(_decode(block.data), block.mime_type, "audio", shelf, stem), None
        case "resource":
            return _resource(block.resource, shelf, stem)
        case "resource_link":
            size = f", {block.size} bytes" if getattr(block, "size", None) else ""
            return f"[resource {block.name}: {block.uri}{size}]", None
    return f"[content of type {block.type!r} is left out]", None


def _resource(resource: Any, shelf: Shelf, stem: str) -> tuple[str | None, Image | None]:
    text = getattr(resource, "text", None)
    if text is not None:
        return f"[resource {resource.uri}]\n{text}", None
    kind = resource.mime_type or "application/octet-stream"
    if kind.startswith("image/"):
        return _image(resource.blob, kind, shelf, stem)
    return _kept(_decode(resource.blob), kind, f"resource {resource.uri}", shelf, stem), None


def _image(data: str, kind: str, shelf: Shelf, stem: str) -> tuple[str | None, Image | None]:
    raw = _decode(data)
    image = None if raw is None else bounded_image(raw)
    if image is not None:
        return None, image
    return _kept(raw, kind, "an image that cannot be shown", shelf, stem), None


def _decode(data: str) -> bytes | None:
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _kept(raw: bytes | None, kind: str, what: str, shelf: Shelf, stem: str) -> str:
    if raw is None:
        return f"[{what}: the server sent no valid base64]"
    path = shelf.keep(raw, stem, _SUFFIXES.get(kind, ".bin"))
    where = f", saved as {path}" if path else ""
    return f"[{what}: {kind}, {len(raw)} bytes{where}]"


def cut(text: str, limit: int, shelf: Shelf, stem: str) -> str:
    """`text` where it has at most `limit` characters; else its head and its tail at line ends, with what was left out
    between them and the file that has all of it. Errors stand at the end of an output, its subject at the start."""
    if len(text) <= limit:
        return text
    head_size = int(limit * _HEAD_SHARE)
    head = _to_line_end(text[:head_size])
    tail = _from_line_start(text[len(text) - (limit - head_size) :])
    left_out = text[len(head) : len(text) - len(tail)]
    path = shelf.keep(shelf.redact(text).encode("utf-8", "replace"), stem, ".txt")
    lines = left_out.strip("\n").count("\n") + 1
    note = f"{lines:,} line{'' if lines == 1 else 's'}, {len(left_out):,} of {len(text):,} characters left out"
    kept = f"; the whole is in {path}" if path else ""
    return f"{head}\n[… {note}{kept} …]\n{tail}"


def _to_line_end(head: str) -> str:
    end = head.rfind("\n", len(head) * 3 // 4)
    return head[:end] if end > 0 else head


def _from_line_start(tail: str) -> str:
    start = tail.find("\n", 0, len(tail) // 4)
    return tail[start + 1 :] if start >= 0 else tail
