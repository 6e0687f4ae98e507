"""Folders that commands need to read to be of use: the running Python, and the toolchains people keep in their home."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# By the folder that stands in PATH (relative to home): what its programs need. Folders that also hold credentials
# (~/.cargo, ~/.npm, ~/.config) are shown in part only.
_TOOLCHAINS: Final[dict[str, tuple[str, ...]]] = {
    ".pyenv": (".pyenv",),
    ".cargo/bin": (".cargo/bin", ".rustup/toolchains", ".rustup/settings.toml"),
    ".rustup": (".rustup/toolchains", ".rustup/settings.toml"),
    ".nvm": (".nvm/versions",),
    ".volta": (".volta/bin", ".volta/tools"),
    ".asdf": (".asdf",),
    ".local/bin": (".local/bin", ".local/share/uv/python", ".local/share/uv/tools", ".local/share/pipx", ".local/lib"),
    ".local/share/mise": (".local/share/mise/installs", ".local/share/mise/shims"),
    ".local/share/fnm": (".local/share/fnm",),
    ".fnm": (".fnm",),
    ".nodenv": (".nodenv",),
    ".bun/bin": (".bun/bin",),
    ".deno/bin": (".deno/bin",),
    ".npm-global": (".npm-global",),
    ".rbenv": (".rbenv",),
    ".sdkman": (".sdkman/candidates",),
    ".ghcup/bin": (".ghcup/bin", ".ghcup/ghc"),
    ".opam": (".opam",),
    "go/bin": ("go/bin",),
    "miniconda3": ("miniconda3",),
    "anaconda3": ("anaconda3",),
    "miniforge3": ("miniforge3",),
}


def python_roots(executable: Path, prefixes: Iterable[Path]) -> tuple[Path, ...]:
    """What the Python `executable` reads to run: `prefixes` are its `sys.prefix` and `sys.base_prefix`. Nothing that the
    system's folders show anyway."""
    roots = [*prefixes, Path(os.path.realpath(executable)).parent.parent]
    chosen = [root for root in dict.fromkeys(roots) if not _is_shown(root)]
    return tuple(root for root in chosen if root != Path("/"))


def _is_shown(path: Path) -> bool:
    return any(path == shown or path.is_relative_to(shown) for shown in (Path("/usr"), Path("/opt"), Path("/bin")))


def home_toolchains(search_path: str, home: Path) -> tuple[Path, ...]:
    """The known toolchain folders beneath `home` that the PATH `search_path` leads into, without those that are missing."""
    found: dict[Path, None] = {}
    for entry in search_path.split(":"):
        for place, needed in _TOOLCHAINS.items():
            if Path(entry) == home / place or Path(entry).is_relative_to(home / place):
                found.update(dict.fromkeys(home / folder for folder in needed if (home / folder).exists()))
    return tuple(found)
