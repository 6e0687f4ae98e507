"""A program of its own that matches one regular expression against texts it is sent: run by path, never imported.

A pattern can take Python's `re` forever, and while it does nothing else in that process runs: here it can be killed.

Input: one line of JSON, {"pattern", "ignore_case", "context"}; then for each text a line with its length in bytes,
and the bytes. Output: first a line of JSON, null or what is wrong with the pattern; then for each text one line of
JSON, a list of [line number from 1, whether it matches, the line cut to 4,000 characters] with `context` lines around
each match.
"""

import codecs
import json
import re
import sys
import warnings

_MAX_LINE = 4_000
_POSIX = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9a-fA-F",
}


def lines_of(data):
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, "replace")
            break
    else:
        text = data.decode("utf-8", "replace")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line[:-1] if line.endswith("\r") else line for line in lines]


def hits(lines, search, context):
    matching = [number for number, line in enumerate(lines) if search(line)]
    shown = sorted({near for at in matching for near in range(max(at - context, 0), min(at + context + 1, len(lines)))})
    chosen = set(matching)
    return [[number + 1, number in chosen, lines[number][:_MAX_LINE]] for number in shown]


def main():
    source, sink = sys.stdin.buffer, sys.stdout.buffer

    def answer(value):
        sink.write(json.dumps(value).encode() + b"\n")
        sink.flush()

    request = json.loads(source.readline())
    pattern = re.sub(r"\[:(\w+):\]", lambda found: _POSIX.get(found[1], found[0]), request["pattern"])
    warnings.simplefilter("error")
    try:
        search = re.compile(pattern, re.IGNORECASE if request["ignore_case"] else 0).search
    except (re.error, Warning, OverflowError, RecursionError) as error:
        answer(str(error))
        return
    answer(None)
    while length := source.readline():
        answer(hits(lines_of(source.read(int(length))), search, request["context"]))


if __name__ == "__main__":
    main()
