"""The secrets that this program knows by their value, so that nothing it writes down holds one."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.settings import secret_store
from goose_py.config.secrets import SecretStore
from goose_py.protocol.errors import GooseError
from goose_py.protocol.redact import redactor
from goose_py.session.redaction import redacted
from goose_py.tasks.spec import TaskSpec

_SECRET_NAME: Final = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|PAT|CREDENTIALS?)(?:_[0-9]+)?$")
_TRIVIAL: Final = re.compile(r"[0-9.,:-]*|[A-Za-z]?[a-z]{0,19}|[A-Z]{0,20}")


def known_secrets(host: Host, store: SecretStore | None = None) -> frozenset[str]:
    """The values of the environment whose names say that they are secret, and those of the stored keys. Never raises: what
    cannot be read cannot be leaked either."""
    named = {value for name, value in host.env.items() if _SECRET_NAME.search(name.upper()) and _could_be_secret(value)}
    try:
        stored = (store or secret_store(host, notice=lambda text: None)).known_values()
    except GooseError:
        stored = frozenset()
    return stored.union(named)


def redaction(host: Host, store: SecretStore | None = None) -> Callable[[str], str]:
    """Takes secrets out of a text. A key that `store` hands out later is known from then on."""
    store = store or secret_store(host, notice=lambda text: None)
    at_first = known = known_secrets(host, store)
    redact = redactor(known)

    def redact_text(text: str) -> str:
        nonlocal known, redact
        now_known = at_first | store.handed_out
        if now_known != known:
            known, redact = now_known, redactor(now_known)
        return redact(text)

    return redact_text


def without_secrets(host: Host, spec: TaskSpec) -> TaskSpec:
    """The spec as it may be written down: what was typed or pasted by a person holds no known key."""
    redact = redaction(host)
    prompt = tuple(redacted(part, redact) for part in spec.prompt)
    return msgspec.structs.replace(
        spec, title=redact(spec.title), prompt=prompt, instructions=redact(spec.instructions)
    )


def _could_be_secret(value: str) -> bool:
    """A path, a number or a plain word under a name such as `SSH_KEY` must not be struck out of the conversation."""
    return not value.startswith(("/", "~", ".")) and _TRIVIAL.fullmatch(value) is None
