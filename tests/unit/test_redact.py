"""Secrets by shape and by value. All values here are made up, and put together so that no scanner takes them for real."""

import pytest

from goose_py.protocol.redact import looks_secret, redact, redactor

A = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
SHAPES = [
    "sk-ant-api03-" + A, "sk-proj-" + A, "sk-" + A, "sk_live_" + A, "ghp_" + A[:36], "ghs_" + A[:36], "github_pat_" + A,
    "glpat-" + A[:20], "AKIA" + "ABCDEFGHIJKLMNOP",
    "AIza" + A[:35], "ya29." + A, "xoxb-" + "123456789012-" + A, "xai-" + A, "gsk_" + A,
    "hf_" + A, "npm_" + A[:36], "pypi-" + A, "SG." + A, "eyJ" + A + ".eyJ" + A + "." + A, "hvs." + A,
]  # fmt: skip


@pytest.mark.parametrize("secret", SHAPES)
@pytest.mark.parametrize("around", ["{}", "key: {}", '{{"key": "{}"}}', "KEY={}\nnext", "({})", "error for '{}'."])
def test_a_known_shape_is_taken_out_of_any_text(secret: str, around: str) -> None:
    text = around.format(secret)
    redacted = redact(text)
    assert secret not in redacted and A[:20] not in redacted
    assert "[redacted:" in redacted
    assert redact(redacted) == redacted
    assert looks_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "plain text", "task-management-system-for-everyone-in-the-house", "sk-", "ghp_short",
        "disk-usage-of-everything-on-it",
        "https://example.com/a?page=2&key=x", "https://host:8080/path", "git@github.com:a/b", "password = get_password()",
        "AKIA", "eyJhbGciOi", "Bearer of bad news", "Basic questions", "mailto:a@b", "-----BEGIN CERTIFICATE-----", "http://e/@x:y",
    ],
)  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text
    assert not looks_secret(text)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("https://user:hunter2@host/x", "https://user:[redacted:url-password]@host/x"),
        ("https://h/x?a=1&api_key=abcdefgh1&b=2", "https://h/x?a=1&api_key=[redacted:url-parameter]&b=2"),
        ("https://h/?X-Amz-Signature=abcdef0123", "https://h/?X-Amz-Signature=[redacted:url-parameter]"),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer [redacted:authorization]"),
    ],
)
def test_only_the_secret_itself_is_taken_out(text: str, redacted: str) -> None:
    assert redact(text) == redacted
    assert redact(redacted) == redacted


def test_a_private_key_is_taken_out_whole_or_cut_off() -> None:
    begin, end = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
    assert redact(f"a\n{begin}\nMII\nMII\n{end}\nb") == "a\n[redacted:private-key]\nb"
    assert redact(f"a\n{begin}\nMII") == "a\n[redacted:private-key]"


def test_a_known_value_is_taken_out_in_every_spelling() -> None:
    secret = 'pa"ss/wörd+1'
    for text in (f"x {secret} y", 'x pa\\"ss/w\\u00f6rd+1 y', 'x pa\\"ss/wörd+1 y', "x pa%22ss%2Fw%C3%B6rd%2B1 y"):
        assert redact(text, [secret]) == "x [redacted] y"


def test_the_longer_of_two_values_goes_first_and_short_ones_stay() -> None:
    clean = redactor(["longsecret", "longsecret-and-more", "short"])
    assert clean("longsecret-and-more longsecret short") == "[redacted] [redacted] short"
    assert clean("nothing here") == "nothing here"
