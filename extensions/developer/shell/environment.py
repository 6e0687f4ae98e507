"""The environment of every command: nothing in it may wait for a person."""

from collections.abc import Mapping, Sequence

MARKER = "DEVELOPER_COMMAND"
"""Every command and its descendants carry this variable, with a value of the command's own: so that none of them is
lost."""

_ALONE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_NOBODY_THERE = {
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "MANPAGER": "cat",
    "SYSTEMD_PAGER": "cat",
    "GH_PAGER": "cat",
    "AWS_PAGER": "",
    # An editor that fails tells the program that there is no text; one that succeeds would make it go on with the
    # wrong one.
    "EDITOR": "false",
    "VISUAL": "false",
    "GIT_EDITOR": "false",
    "GIT_SEQUENCE_EDITOR": "false",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "GCM_INTERACTIVE": "never",
    "SSH_ASKPASS": "false",
    "SSH_ASKPASS_REQUIRE": "force",
    "SUDO_ASKPASS": "/bin/false",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_NO_INPUT": "1",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "CLICOLOR": "0",
    # Output that sits in a buffer when the time is up would be lost.
    "PYTHONUNBUFFERED": "1",
}
# What would run code in every shell, or points at a terminal or display nobody sits at.
_REMOVED = (
    "BASH_ENV",
    "ENV",
    "PROMPT_COMMAND",
    "GPG_TTY",
    "SSH_TTY",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
)


def command_environment(given: Mapping[str, str] | None, marker: str) -> dict[str, str]:
    """`given` (None: just a PATH) without what would start code or a dialogue, and with what keeps programs from
    asking."""
    kept = {name: value for name, value in (_ALONE if given is None else given).items() if name not in _REMOVED}
    return {**kept, **_NOBODY_THERE, MARKER: marker}


_SIGNS_OF_A_DIALOGUE = (
    "a terminal is required",
    "/dev/tty",
    "not a tty",
    "not a terminal",
    "inappropriate ioctl for device",
    "terminal prompts disabled",
    "problem with the editor",
    "there was a problem with the editor",
    "please supply the message using either -m or -f",
    "unable to read askpass response",
    "host key verification failed",
    "eof when reading a line",
    "read_passphrase: can't open",
    "must be run from a terminal",
    "password is required",
    "no tty present",
    "terminal is not fully functional",
    "error opening terminal",
    "cannot open tty",
)


NETWORK = "SANDBOX_NETWORK"
"""A host that confines commands says in this variable of their environment what of the network they have: "off", or the names
of the hosts that can be reached, with commas between them. Without it nothing is said."""

_SIGNS_OF_NO_NETWORK = (
    "could not resolve host",
    "name or service not known",
    "temporary failure in name resolution",
    "nodename nor servname provided",
    "network is unreachable",
    "network unreachable",
    "no address associated with hostname",
    "getaddrinfo",
    "enotfound",
    "eai_again",
    "unable to resolve host",
    "failed to lookup address",
    "no such host",
    "server misbehaving",
    "could not connect to server",
    "failed to connect to",
    "connection refused",
    "max retries exceeded with url",
    "tunnel connection failed",
    "response 403 from proxy",
    "received http code 403 from proxy",
    "not in sandbox.allow_hosts",
    "af_unix",
)


def refused_network(output: str, environment: Mapping[str, str] | None) -> str:
    """What to say of a command that failed for want of a network which its host does not give it; empty where it did not."""
    given = (environment or {}).get(NETWORK)
    lowered = output.lower()
    if not given or not any(sign in lowered for sign in _SIGNS_OF_NO_NETWORK):
        return ""
    if given == "off":
        return "[policy: commands have no network here; that will not change by trying again]"
    return f"[policy: commands reach only these hosts here: {given}; that will not change by trying again]"


READ_ONLY = "SANDBOX_READ_ONLY"
"""In this variable such a host names the folders of the workspace that belong to the user and cannot be changed."""


def refused_write(output: str, environment: Mapping[str, str] | None) -> str:
    """What to say of a command that failed because it wanted to change such a folder; empty where it did not."""
    given = (environment or {}).get(READ_ONLY)
    if not given or "read-only file system" not in output.lower():
        return ""
    return f"[policy: {given} cannot be changed here, being the user's own; install into a folder of another name instead]"


def wants_to_write(output: str, signs: Sequence[str]) -> bool:
    """Whether a command that failed where nothing can be changed says, in one of the lower-case `signs`, that it wanted
    to."""
    lowered = output.lower()
    return any(sign in lowered for sign in signs)


def needs_terminal(output: str) -> bool:
    """Whether the output of a command that failed says that it wanted a terminal, an editor or an answer."""
    lowered = output.lower()
    return any(sign in lowered for sign in _SIGNS_OF_A_DIALOGUE)
