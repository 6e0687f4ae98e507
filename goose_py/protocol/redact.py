"""Secrets, recognised by their shape or by their value, and taken out of what is kept: logs, exports, crash reports.

Shapes are those that providers publish so that leaks can be found. There is no rule for `password = ...`: a session log is
also the record of a person's own code, and must not be rewritten by guesses.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final
from urllib.parse import quote

import msgspec

MIN_SECRET_LENGTH: Final = 8
"""A known value shorter than this is not redacted: it would turn up in ordinary text."""

_START: Final = r"(?<![A-Za-z0-9_])"


class _Shape(msgspec.Struct, frozen=True):
    """A kind of credential. One of `literals` occurs in every match: looking for them first makes the common case, no
    secret at all, a few substring searches. Where `expression` has a group, only the group is the secret."""

    kind: str
    literals: tuple[str, ...]
    expression: str
    flags: re.RegexFlag = re.NOFLAG

    @property
    def pattern(self) -> re.Pattern[str]:
        """Compiled when a text first holds one of the literals."""
        return _compiled(self.expression, self.flags)


_compiled = functools.cache(re.compile)


def _token(kind: str, prefixes: str, length: int, alphabet: str = "A-Za-z0-9_.-") -> _Shape:
    """Credentials that are one of `prefixes` and then at least `length` characters of `alphabet`."""
    literals = tuple(prefixes.split())
    return _Shape(kind, literals, f"{_START}(?:{'|'.join(map(re.escape, literals))})[{alphabet}]{{{length},}}")


_SHAPES: Final = (
    _token("api-key", "sk-ant- sk-proj- sk-or- sk-svcacct- sk-", 20, "A-Za-z0-9_-"),
    _token("api-key", "sk_live_ sk_test_ rk_live_ rk_test_", 16, "A-Za-z0-9"),
    _token("api-key", "xai- gsk_ hf_ r8_ pplx- nvapi- tvly- fw_ csk- lin_api_ dop_v1_ hvs. tskey- shpat_", 20),
    _token("api-key", "dckr_pat_ npm_ pypi- SG. AGE-SECRET-KEY- sbp_ lsv2_", 20),
    _token("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", 20, "A-Za-z0-9"),
    _token("github-token", "github_pat_", 22, "A-Za-z0-9_"),
    _token("gitlab-token", "glpat- gldt- glrt-", 20),
    _token("aws-key-id", "AKIA ASIA", 16, "A-Z0-9"),
    _token("google-key", "AIza", 35, "A-Za-z0-9_-"),
    _token("google-key", "ya29. GOCSPX-", 20),
    _token("slack-token", "xoxb- xoxa- xoxp- xoxr- xoxs- xoxe- xoxe. xapp-", 10),
    _Shape("jwt", ("eyJ",), _START + r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}", re.ASCII),
    _Shape(
        "private-key",
        ("PRIVATE KEY",),
        # A key that was cut off in the middle is still most of a key.
        r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?)-----[\s\S]*?(?:-----END \1-----|\Z)",
    ),
    _Shape("url-password", ("://",), r"://[^\s/@:'\"]*:(?P<secret>[^\s/@'\"]{3,})@"),
    _Shape(
        "url-parameter",
        ("?", "&"),
        r"[?&](?:[\w-]*[_-])?(?:api[_-]?key|key|token|secret|sig|signature|password)=(?P<secret>[\w.%~+/-]{8,})",
        re.ASCII | re.IGNORECASE,
    ),
    _Shape("authorization", ("earer ", "asic "), r"\b(?:[Bb]earer|[Bb]asic) +(?P<secret>[\w.~+/-]{16,}=*)", re.ASCII),
)


def looks_secret(value: str) -> bool:
    """Whether `value` contains something of a known credential's shape."""
    return any(
        shape.pattern.search(value) is not None for shape in _SHAPES if any(literal in value for literal in shape.literals)
    )


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with known values replaced by `[redacted]` and recognised shapes by `[redacted:KIND]`. Idempotent; the common
    text, which holds none, is returned as it is. For many texts with the same secrets, keep a `redactor`."""
    return redactor(secrets)(text)


def redactor(secrets: Iterable[str] = ()) -> Callable[[str], str]:
    """A `redact` for these known values, which are also found as JSON and URLs would spell them."""
    spellings = _spellings(secrets)
    known = re.compile("|".join(map(re.escape, spellings))) if spellings else None

    def redact_text(text: str) -> str:
        if known is not None and any(spelling in text for spelling in spellings):
            text = known.sub("[redacted]", text)
        for shape in _SHAPES:
            if any(literal in text for literal in shape.literals):
                text = shape.pattern.sub(partial(_replacement, shape.kind), text)
        return text

    return redact_text


class RedactingStream:
    """Takes secrets out of output as it arrives in pieces, line by line: what comes out is behind what went in by at most
    the line that has not ended. A line longer than `LONGEST_LINE` is not waited for."""

    LONGEST_LINE: Final = 65_536
    _OVERLAP: Final = 4_096

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        held = self._held + chunk
        cut = held.rfind(b"\n") + 1
        if len(held) - cut > self.LONGEST_LINE:
            cut = len(held) - self._OVERLAP
        self._held = held[cut:]
        return self._clean(held[:cut])

    def end(self) -> bytes:
        """What was held back. The stream can be used again."""
        rest, self._held = self._held, b""
        return self._clean(rest)

    def _clean(self, data: bytes) -> bytes:
        return self._redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    found: set[str] = set()
    for secret in secrets:
        if len(secret) >= MIN_SECRET_LENGTH:
            found |= {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe="")}
    return tuple(sorted(found, key=lambda spelling: (-len(spelling), spelling)))


def _replacement(kind: str, match: re.Match[str]) -> str:
    secret = match.groupdict().get("secret")
    if secret is None:
        return f"[redacted:{kind}]"
    if secret.startswith("[redacted"):
        return match.group()
    return match.group().replace(secret, f"[redacted:{kind}]")
