"""Text that people wrote for us, in whatever encoding their editor or shell gave it (PowerShell's `>` makes UTF-16)."""

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# The bytes of 0x80-0x9F that Windows-1252 text really has: euro, ellipsis, dashes, quotes, bullet, trade mark.
_CP1252 = frozenset(b"\x80\x85\x8c\x91\x92\x93\x94\x95\x96\x97\x99\x9c")


def decoded(data: bytes, *, cut: bool = False) -> str:
    """By its byte order mark, as UTF-8, as UTF-16 without a mark, else as Windows-1252 or Latin-1: no byte is lost. `cut`: the
    last character may be half of one."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return codecs.getincrementaldecoder(encoding)("replace").decode(data[len(mark) :], final=not cut)
    for encoding in (_wide(data), "utf-8"):
        try:
            if encoding:
                return codecs.getincrementaldecoder(encoding)().decode(data, final=not cut)
        except UnicodeDecodeError:
            continue
    controls = {byte for byte in data if 0x80 <= byte < 0xA0}
    return data.decode("cp1252" if controls and controls <= _CP1252 else "latin-1")


def _wide(data: bytes) -> str:
    """UTF-16 of mostly Latin text has a NUL in nearly every second byte, always on the same side; "" for what is none."""
    sample = data[:8192]
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if half and odd > 0.6 * half and not even:
        return "utf-16-le"
    return "utf-16-be" if half and even > 0.6 * half and not odd else ""
