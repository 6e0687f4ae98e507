"""Files that usually hold credentials, by their names. What is in one is judged by `redact.looks_secret`."""

import re
from typing import Final

_SECRET_NAMES: Final = re.compile(
    r"\.env(\..+)?|\.envrc|.*\.(pem|key|p12|pfx|keystore|jks|tfvars)|.*\.tfvars\.json|id_(rsa|dsa|ecdsa|ed25519)(_.*)?"
    r"|\.(netrc|pgpass|npmrc|pypirc)|credentials(\.json)?|\.git-credentials|secrets?(\.(json|ya?ml|toml))?"
)
_EXAMPLE_NAMES: Final = re.compile(r".*[._-](example|sample|template|dist|defaults?)|.*\.pub")


def holds_secrets(path: str) -> bool:
    """Whether files of this name usually hold credentials (`.env`, `*.pem`, `id_rsa`); examples of such files do not."""
    name = path.rsplit("/", 1)[-1]
    if not _SECRET_NAMES.fullmatch(name):
        return False
    return _EXAMPLE_NAMES.fullmatch(name) is None
