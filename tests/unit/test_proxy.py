"""The environment's proxy for an address, read as curl reads it."""

import pytest

from goose_py.proxy import proxy_for

PROXIES = {"http_proxy": "http://plain", "HTTPS_PROXY": "http://secure", "NO_PROXY": "localhost, .example.org:443"}


@pytest.mark.parametrize(
    ("address", "env", "proxy"),
    [
        ("http://a.net/v1", PROXIES, "http://plain"),
        ("https://a.net/v1", PROXIES, "http://secure"),
        ("http://localhost:11434", PROXIES, None),
        ("https://api.example.org", PROXIES, None),
        ("https://example.org", PROXIES, None),
        ("https://notexample.org", PROXIES, "http://secure"),
        ("http://a.net", {"HTTP_PROXY": "http://set-by-a-request"}, None),
        ("http://a.net", {"ALL_PROXY": "http://any"}, "http://any"),
        ("https://a.net", {"ALL_PROXY": "http://any", "no_proxy": "*"}, None),
        ("https://a.net", {}, None),
    ],
)
def test_the_proxy_is_that_of_the_scheme_unless_the_host_is_exempt(address, env, proxy) -> None:
    assert proxy_for(address, env) == proxy
