"""The environment of every child process: a short list of names, and nothing that looks like a secret."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from goose_py.protocol.redact import looks_secret
from goose_py.sandbox.policy import Policy

_NAMES: Final = frozenset(
    {
        "HOME", "PATH", "LANG", "LANGUAGE", "TERM", "COLORTERM", "NO_COLOR", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR",
        "COLUMNS", "LINES", "SYSTEMROOT", "VIRTUAL_ENV", "CONDA_PREFIX", "JAVA_HOME", "GOPATH",
        "GOROOT", "CARGO_HOME", "RUSTUP_HOME", "PYENV_ROOT", "NVM_DIR", "VOLTA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CI",
    }
)  # fmt: skip
_PREFIXES: Final = ("LC_",)

_QUIET: Final = {
    # Nothing that waits for a person may start inside a tool call.
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "EDITOR": "false",
    "VISUAL": "false",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
}


def child_env(
    parent: Mapping[str, str], *, secrets: Iterable[str] = (), unsafe_path: Iterable[str] = ()
) -> dict[str, str]:
    """What a child of ours sees of `parent`.

    Kept are the names a program needs to run, unless the value has the shape of a credential or contains one of `secrets`
    (known key values). PATH loses its relative and empty entries, which would make the working folder a place that programs
    come from, and those beneath `unsafe_path` (folders the agent can write). No pager, editor or password prompt can start.
    What a person grants besides is in `variables`."""
    known = [secret for secret in secrets if len(secret) >= 8]
    env = dict(_QUIET)
    for name, value in parent.items():
        needed = name in _NAMES or name.startswith(_PREFIXES)
        if needed and not looks_secret(value) and not _contains(value, known):
            env[name] = value
    if "PATH" in env:
        env["PATH"] = safe_path(env["PATH"], unsafe_path)
    return env


def elsewhere(policy: Policy) -> dict[str, str]:
    """Variables for the commands: where tools write that would write into a folder of the user's that is read-only for the
    task, or into a home that is gone with each command."""
    if policy.cache is None:
        return {}
    cache = f"{policy.home}/.cache" if policy.home != Path("/") else "/home/sandbox/.cache"
    env = {"npm_config_cache": f"{cache}/npm", "YARN_CACHE_FOLDER": f"{cache}/yarn"}
    fixed = [str(share.path) for share in policy.shares if share.upper is None]
    if "target" in fixed:
        env["CARGO_TARGET_DIR"] = f"{cache}/cargo-target"
    # What the shell tool tells a model whose command could not write there.
    return {**env, "SANDBOX_READ_ONLY": ", ".join(fixed)} if fixed else env


def safe_path(path: str, unsafe: Iterable[str] = ()) -> str:
    """PATH without relative and empty entries and without those at or beneath one of the absolute folders `unsafe`."""
    folders = [folder.rstrip("/") + "/" for folder in unsafe]
    kept = (
        entry
        for entry in path.split(":")
        if entry.startswith("/") and not any((entry.rstrip("/") + "/").startswith(folder) for folder in folders)
    )
    return ":".join(dict.fromkeys(kept)) or "/usr/bin:/bin"


def english(env: Mapping[str, str]) -> dict[str, str]:
    """With the messages of programs in English, and everything else of the user's locale as it is."""
    every = env.get("LC_ALL")
    kept = {name: value for name, value in env.items() if name not in ("LC_ALL", "LANGUAGE")}
    if every:
        kept = {name: value for name, value in kept.items() if not name.startswith("LC_")} | {"LANG": every}
    return {**kept, "LC_MESSAGES": "C"}


def _contains(value: str, secrets: Iterable[str]) -> bool:
    return any(secret in value for secret in secrets)
