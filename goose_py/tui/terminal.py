"""Whether there is a terminal to draw on. Imports nothing of Textual: it is asked before that is loaded."""

from __future__ import annotations

from collections.abc import Mapping

PLAIN = '`goose-py run -t "…"` works without a screen.'


def refusal(
    env: Mapping[str, str], *, stdin_is_terminal: bool, stdout_is_terminal: bool, stderr_is_terminal: bool = True
) -> str | None:
    """Why no screen can be opened here, as a sentence for the user, or None where one can. (Textual reads standard input and
    draws on standard error.)"""
    ends = {"input": stdin_is_terminal, "output": stdout_is_terminal, "error": stderr_is_terminal}
    other = next((name for name, is_terminal in ends.items() if not is_terminal), None)
    if other is not None:
        return f"Standard {other} is not a terminal, so there is no screen to draw on; {PLAIN}"
    term = env.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        said = f"TERM={term}" if term else "TERM is not set, so this terminal"
        return f"{said} cannot position text, so there is no screen to draw on; {PLAIN}"
    return None


def palette_of(env: Mapping[str, str], theme: str = "auto") -> str:
    """The palette for a configured theme (auto, dark, light, ansi). NO_COLOR (https://no-color.org) wins over all."""
    if env.get("NO_COLOR"):
        return "mono"
    if theme != "auto":
        return theme
    # Few terminals tell their background; rxvt's way is the one that several took over: "foreground;background".
    background = env.get("COLORFGBG", "").rsplit(";", 1)[-1]
    if env.get("COLORTERM") not in ("truecolor", "24bit") and "256color" not in env.get("TERM", ""):
        return "ansi"
    return "light" if background in ("7", "15") else "dark"


def needs_ascii(env: Mapping[str, str], encoding: str | None) -> bool:
    """True where only ASCII glyphs are sure to be drawn."""
    return "utf" not in (encoding or "").lower() or env.get("TERM") == "linux"


def is_slow_link(env: Mapping[str, str]) -> bool:
    return bool(env.get("SSH_TTY") or env.get("SSH_CONNECTION"))
