"""`configure` changes the user's file and leaves everything else in it alone."""

import os
import tomllib
from pathlib import Path

import pytest

from goose_py.config.edit import set_value, unset_value
from goose_py.config.errors import ConfigError
from goose_py.config.layers import put, split_key
from goose_py.config.load import load

FILE = """\
# my settings
mode   =  'plan'   # careful

[limits]      # money
max_cost = 1.50

# my server
[extensions.fs]
type = "stdio"
cmd = "npx"
args = [
  "-y",   # no questions
  "pkg",
]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "conf" / "config.toml"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


def test_one_line_changes_and_the_rest_stays_byte_for_byte(file: Path) -> None:
    set_value(file, "limits.max_cost", 2.5)
    assert file.read_text() == FILE.replace("1.50", "2.5")
    set_value(file, "mode", "ask")
    assert file.read_text() == FILE.replace("1.50", "2.5").replace("'plan'", '"ask"')


def test_a_new_key_and_a_new_table_are_added(file: Path) -> None:
    set_value(file, "limits.max_turns", 9)
    set_value(file, 'models."gpt-4.1".images', True)
    set_value(file, "extensions.web", {"type": "streamable_http", "uri": "https://x/mcp"})
    text = file.read_text()
    assert text.startswith(FILE.split("\n\n")[0]) and "# no questions" in text and "# my server" in text
    settings = load(user=file).settings
    assert settings.limits.max_turns == 9 and settings.models["gpt-4.1"].images is True
    assert settings.extensions["web"].uri == "https://x/mcp" and settings.extensions["fs"].args == ("-y", "pkg")


def test_what_was_set_can_be_removed(file: Path) -> None:
    assert unset_value(file, "limits.max_cost") is True
    assert unset_value(file, "limits.max_cost") is False
    assert unset_value(file, "extensions.none.cmd") is False
    assert unset_value(file, "extensions.fs") is True
    assert tomllib.loads(file.read_text()) == {"mode": "plan", "limits": {}}


def test_a_missing_file_is_made_for_its_owner_only_under_any_umask(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.toml"
    before = os.umask(0)
    try:
        set_value(path, "provider", "ollama")
    finally:
        os.umask(before)
    assert path.read_text() == 'provider = "ollama"\n'
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


def test_the_mode_of_the_file_and_a_symbolic_link_to_it_are_kept(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "dotfiles" / "config.toml"
    link.parent.mkdir()
    link.symlink_to(file)
    set_value(link, "mode", "chat")
    assert link.is_symlink() and file.stat().st_mode & 0o777 == 0o640
    assert load(user=file).settings.mode == "chat"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("mode", "atuo", "did you mean auto"),
        ("modle", "x", "unknown key `modle`"),
        ("limits", 3, "is a table of settings"),
        ("limits", {"max_turns": "x"}, "`limits.max_turns` must be"),
        ("limits.max_turns", 0, ">= 1"),
    ],
)
def test_what_would_not_parse_is_not_written(file: Path, key: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        set_value(file, key, value)
    assert file.read_text() == FILE


def test_a_file_that_is_broken_already_is_left_alone(file: Path) -> None:
    file.write_text("mode = \n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        set_value(file, "mode", "ask")
    assert file.read_text() == "mode = \n"


def test_a_change_that_changes_nothing_does_not_touch_the_file(file: Path) -> None:
    before = file.stat().st_mtime_ns, file.stat().st_ino
    assert unset_value(file, "provider") is False
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_failed_write_leaves_the_old_file_and_no_litter(file: Path) -> None:
    """A full disk, as far as a plain user can make one: the file may not grow."""
    import resource
    import signal

    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
        try:
            set_value(file, "mode", "ask")
        except OSError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert file.read_text() == FILE
    assert {entry.name for entry in file.parent.iterdir()} == {"config.toml", ".config.toml.lock"}


DOCUMENTS = (
    FILE,
    "",
    "# only a comment\n",
    "limits.max_turns = 5\n",
    'models = {a = {images = true}, "b.c" = {images = false}}\n',
    "[models.a]\nimages = true\n[ui]\nascii = true\n[models.c]\nimages = true\n",
    '[limits]\nmax_turns = 5\n\n# rules\n[[rules]]\nverdict = "deny" # no\n[[rules]]\nverdict = "ask"\n',
    "[extensions]\n[extensions.fs]\ntype = 'stdio'\ncmd = 'x'\n[extensions.fs.env]\nA = '1'\n",
    '[extensions.fs]\ntype = "stdio"\ncmd = "x"\nenv.A = "1"\n\n\n[providers.x.headers]\nx = "y"\n',
    'mode = "ask"\r\n[ui]\r\nascii = true\r\n',
    "\ufeffmode = 'ask'\n",
)
CHANGES: tuple[tuple[str, object], ...] = (
    ("provider", "x"),
    ("checks", ["a", "b"]),
    ("limits.max_cost", 1.5),
    ("limits.max_turns", "none"),
    ("models.a.context_window", 5),
    ("models.z.price", {"input": 1.0, "output": 2.0}),
    ('models."b.c".images', True),
    ("ui.ascii", False),
    ("providers.x.headers", {"quit": "q"}),
    ("extensions.fs.env", {"B": "2"}),
    ("extensions.new", {"type": "stdio", "cmd": "y", "args": ["1"], "env": {"K": "v"}}),
    ("sandbox.network", True),
)


@pytest.mark.parametrize("key", [key for key, _ in CHANGES])
@pytest.mark.parametrize("text", DOCUMENTS)
def test_however_a_file_is_written_a_change_sets_the_key_and_nothing_else(text: str, key: str, tmp_path: Path) -> None:
    value = dict(CHANGES)[key]
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode())
    expected = tomllib.loads(text.lstrip("\ufeff").replace("\r\n", "\n"))
    put(expected, split_key(key), value)
    set_value(path, key, value)
    assert tomllib.loads(path.read_text("utf-8-sig")) == expected
    kept = [line for line in text.splitlines() if "#" in line]
    assert [line for line in path.read_text().splitlines() if "#" in line] == kept
    assert unset_value(path, key) is True and unset_value(path, key) is False
