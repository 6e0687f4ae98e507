"""Goose's `config.yaml` becomes a `config.toml` that we accept."""

import tomllib
from pathlib import Path

import pytest

from goose_py.config.errors import ConfigError
from goose_py.config.goose_import import from_goose
from goose_py.config.load import load
from goose_py.config.settings import Settings

GOOSE = """\
active_provider: anthropic
providers: {anthropic: {enabled: true, model: claude-x, configured: true}}
GOOSE_MODE: smart_approve
GOOSE_THINKING_EFFORT: high
GOOSE_MAX_TURNS: 50
GOOSE_TELEMETRY_ENABLED: false
OPENAI_API_KEY: sk-secret
CONTEXT_FILE_NAMES: [AGENTS.md, CLAUDE.md]
extensions:
  developer: {type: platform, name: developer, enabled: true, bundled: true}
  memory: {type: builtin, name: memory, enabled: false}
  todo: {type: platform, name: todo, enabled: true}
  fs:
    {type: stdio, name: Files, enabled: true, cmd: npx, args: [-y, pkg], env_keys: [TOKEN], envs: {A: 1}, cwd: null}
  web:
    type: streamable_http
    name: web
    enabled: true
    uri: https://x/mcp
    headers: {Authorization: "Bearer $TOK"}
    env_keys: [TOK]
    socket: null
    client_id: abc
    scopes: []
  odd: {type: stdio, name: odd, cmd: odd, timeout: soon}
  old: {type: sse, name: old, uri: https://y}
  broken: 3
  nocmd: {type: stdio, name: nocmd}
slash_commands: [{command: run-tests, recipe_path: /p/r.yaml}]
"""


def settings(tmp_path: Path, text: str) -> tuple[Settings, tuple[str, ...]]:
    toml, notes = from_goose(text)
    file = tmp_path / "c.toml"
    file.write_text(toml)
    return load(user=file).settings, notes


def test_what_both_have_is_taken_over(tmp_path: Path) -> None:
    found, _ = settings(tmp_path, GOOSE)
    assert (found.provider, found.model, found.effort, found.mode) == ("anthropic", "claude-x", "high", "ask")
    assert found.limits.max_turns == 50 and found.context_files == ("AGENTS.md", "CLAUDE.md")
    assert set(found.extensions) == {"developer", "memory", "fs", "web", "odd"}
    assert found.extensions["developer"].type == "builtin" and found.extensions["memory"].enabled is False
    files = found.extensions["fs"]
    assert (files.name, files.cmd, files.args, files.env_keys, files.env) == (
        "Files",
        "npx",
        ("-y", "pkg"),
        ("TOKEN",),
        {"A": "1"},
    )
    assert found.extensions["web"].headers == {"Authorization": "Bearer $TOK"}


def test_what_is_left_out_is_said_and_secrets_are_never_copied() -> None:
    toml, notes = from_goose(GOOSE)
    assert "sk-secret" not in toml + "".join(notes)
    for words in (
        "OPENAI_API_KEY: not taken over",
        "GOOSE_TELEMETRY_ENABLED: not taken over",
        "slash_commands: not taken over",
        "extensions.todo: part of Goose itself",
        "extensions.old: type sse is not known here",
        "extensions.broken: not a table",
        "extensions.nocmd: has no cmd",
        "extensions.web.client_id: not taken over",
        'config.yaml: `extensions.odd.timeout` must be a number, not "soon". Left out.',
        'GOOSE_MODE: "smart_approve" is called "ask" here',
    ):
        assert any(note.startswith(words) for note in notes), words


def test_the_flat_settings_of_older_versions_are_read(tmp_path: Path) -> None:
    found, notes = settings(tmp_path, "GOOSE_PROVIDER: ollama\nGOOSE_MODEL: qwen3:8b\nGOOSE_MODE: auto\n")
    assert (found.provider, found.model, found.mode, notes) == ("ollama", "qwen3:8b", "auto", ())


def test_an_empty_list_of_extensions_is_no_extension(tmp_path: Path) -> None:
    found, _ = settings(tmp_path, "extensions: {}\nGOOSE_MODE: nonsense\n")
    assert dict(found.extensions) == {} and found.mode == "ask"
    assert tomllib.loads(from_goose("GOOSE_PROVIDER: x")[0]) == {"provider": "x"}


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "a: [1", "a: !!python/object/apply:os.system [x]", "[" * 3000, ""])
def test_what_is_no_table_of_settings_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        from_goose(text)
