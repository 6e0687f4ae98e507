"""How bytes and names are put before a model or a person: printable, bounded, honest about what was left out."""

import re

_CONTROL = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}  # Unicode control pictures
_KEPT_IN_TEXT = {code: picture for code, picture in _CONTROL.items() if code not in (0x09, 0x0A, 0x0D)}
_C1 = {code: 0xFFFD for code in range(0x80, 0xA0)}
_TEXT_TABLE = _KEPT_IN_TEXT | _C1
_NAME_TABLE = _CONTROL | _C1
# ECMA-48 control sequences, operating-system commands and two-character escapes.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_MAX_SHOWN_NAME = 500


def printable(name: str) -> str:
    """A file name or path on one line, without control characters, undecodable bytes as `\\xNN`."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").translate(_NAME_TABLE)
    return text if len(text) <= _MAX_SHOWN_NAME else text[:_MAX_SHOWN_NAME] + "…"


def plain(text: str) -> str:
    """Text without terminal escapes; other control characters but tab, newline and carriage return as pictures."""
    return _ESCAPES.sub("", text).translate(_TEXT_TABLE)


def cut_line(line: str, limit: int) -> str:
    """One line of at most about `limit` characters: its head, what was cut, and a quarter for its tail."""
    if len(line) <= limit:
        return line
    tail = limit // 4
    head = limit - tail
    return f"{line[:head]}[… {len(line) - limit:,} characters cut …]{line[len(line) - tail :]}"


def visible(line: str) -> str:
    """A line with its whitespace made visible: `·` a space, `→` a tab, `␍` a carriage return, `⍽` a no-break space."""
    return line.translate({0x20: "·", 0x09: "→", 0xA0: "⍽", 0x202F: "⍽"} | _NAME_TABLE | {0x09: "→"})


def numbered(lines: list[str], first: int, limit: int = 2000) -> str:
    """`NUMBER<tab>LINE` for each line, numbers from `first`; lines longer than `limit` are cut and say so."""
    return "\n".join(f"{number}\t{cut_line(line, limit)}" for number, line in enumerate(lines, first))


def plural(count: int, noun: str) -> str:
    """`1 line`, `2,000 lines`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1] + 'ies' if noun.endswith('y') else noun + ('es' if noun.endswith('ch') else 's')}"


def size(count: int) -> str:
    """A number of bytes for people: `812 bytes`, `1.4 MB`."""
    for unit, scale in (("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return plural(count, "byte")
