"""Sources into settings: precedence, origins, and what a person is told about a source that is wrong."""

from pathlib import Path

import msgspec
import pytest

from goose_py.config.errors import ConfigError
from goose_py.config.load import load
from goose_py.config.settings import Settings
from goose_py.protocol.events import Limits
from goose_py.protocol.messages import ModelRef


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(user=write(path, text))
    return tuple(problem.replace(str(path), "F") for problem in caught.value.problems)


def test_without_any_source_every_setting_has_its_default(tmp_path: Path) -> None:
    loaded = load(user=tmp_path / "none" / "config.toml", project=tmp_path / "none.toml", trusted=True)
    assert loaded.settings == Settings()
    assert loaded.origins() == {} and loaded.warnings == ()
    assert loaded.settings.mode == "ask"
    assert loaded.settings.limits.hard() == Limits(max_turns=200)
    assert loaded.settings.context_files == ("AGENTS.md", ".goosehints")


def test_flags_win_over_environment_over_project_over_user(tmp_path: Path) -> None:
    user = write(tmp_path / "u.toml", 'model = "u"\neffort = "low"\nencoding = "cp1252"\ncheck_timeout = 1\n')
    project = write(tmp_path / "p.toml", 'model = "p"\neffort = "high"\nencoding = "gbk"\n')
    loaded = load(
        user=user,
        project=project,
        trusted=True,
        env={"GOOSE_PY_MODEL": "e", "GOOSE_PY_EFFORT": "max"},
        flags={"model": "f", "provider": None},
    )
    settings = loaded.settings
    assert (settings.model, settings.effort, settings.encoding, settings.check_timeout) == ("f", "max", "gbk", 1.0)
    assert loaded.origins() == {
        "model": "flag",
        "effort": "environment",
        "encoding": "project",
        "check_timeout": "user",
    }


def test_tables_are_merged_and_lists_replaced(tmp_path: Path) -> None:
    user = write(tmp_path / "u.toml", 'checks = ["a", "b"]\n[limits]\nmax_cost = 1\nmax_turns = 5\n')
    settings = load(user=user, env={"GOOSE_PY_CHECKS": '["c, d", "e"]'}, flags={"limits.max_turns": "7"}).settings
    assert settings.checks == ("c, d", "e")
    assert (settings.limits.max_cost, settings.limits.max_turns) == (1.0, 7)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("no", False), ("Off", False)],
)
def test_switches_in_the_environment_read_as_people_expect(text: str, value: bool) -> None:
    assert load(env={"GOOSE_PY_SANDBOX_NETWORK": text}).settings.sandbox.network is value


def test_a_single_command_in_the_environment_is_one_command_and_an_empty_variable_is_not_set() -> None:
    assert load(env={"GOOSE_PY_CHECKS": "pytest -k 'a, b'"}).settings.checks == ("pytest -k 'a, b'",)
    assert load(env={"GOOSE_PY_MODEL": ""}).settings.model is None


def test_a_limit_can_be_lifted(tmp_path: Path) -> None:
    assert load(user=write(tmp_path / "c.toml", 'limits.max_turns = "none"')).settings.limits.hard() == Limits()
    assert load(env={"GOOSE_PY_LIMITS_MAX_TURNS": "none"}).settings.limits.max_turns is None


@pytest.mark.parametrize(("name", "ours"), [("approve", "ask"), ("smart_approve", "ask"), ("auto", "auto")])
def test_the_modes_of_goose_are_understood(tmp_path: Path, name: str, ours: str) -> None:
    assert load(user=write(tmp_path / "c.toml", f'mode = "{name}"')).settings.mode == ours
    assert load(env={"GOOSE_PY_MODE": name}).settings.mode == ours


def test_a_phase_answers_with_its_own_model_and_else_with_the_default() -> None:
    settings = load(
        flags={
            "provider": "anthropic",
            "model": "big",
            "effort": "low",
            "phases.plan.effort": "high",
            "phases.summarise.model": "small",
            "phases.verify.provider": "ollama",
        }
    ).settings
    assert settings.model_for() == ModelRef(provider="anthropic", model="big", effort="low")
    assert settings.model_for("plan") == ModelRef(provider="anthropic", model="big", effort="high")
    assert settings.model_for("summarise") == ModelRef(provider="anthropic", model="small", effort="low")
    assert settings.model_for("verify") is None, "a model of another provider is nobody's"
    assert Settings().model_for() is None


def test_rules_keep_their_fields_and_know_where_they_stand(tmp_path: Path) -> None:
    text = 'mode = "ask"\n\n[[rules]]\nverdict = "allow"\nmatch = ["git log"]\n\n# why\n[[rules]]\nverdict = "deny"\n'
    path = write(tmp_path / "c.toml", text)
    first, second = load(user=path).settings.rules
    assert (first.fields["verdict"], first.fields["match"], first.line, first.file) == (
        "allow",
        ("git log",),
        3,
        str(path),
    )
    assert (second.fields["verdict"], second.line) == ("deny", 8)


def test_settings_cannot_be_changed_after_parsing(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", '[providers.mine]\nheaders = {a = "b"}\n[[rules]]\nx = {y = [1]}\n')
    settings = load(user=path).settings
    with pytest.raises(AttributeError):
        settings.mode = "auto"  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen"):
        settings.providers["other"] = settings.providers["mine"]  # type: ignore[index]
    with pytest.raises(TypeError, match="frozen"):
        settings.providers["mine"].headers["a"] = "c"  # type: ignore[index]
    with pytest.raises(TypeError, match="frozen"):
        settings.rules[0].fields["x"]["z"] = 1
    assert settings.rules[0].fields["x"]["y"] == (1,)
    assert msgspec.json.decode(msgspec.json.encode(settings))["providers"]["mine"]["headers"] == {"a": "b"}


def test_every_problem_is_one_line_with_place_and_what_was_meant(tmp_path: Path) -> None:
    text = """\
# mine
provder = "anthropic"
mode = "atuo"
max_cost = 3
limits.max_turns = "x"
checks = "pytest"
ui = 3
context_files = ["../x"]
encoding = ""

[models."gpt-4.1"]
price = {inpt = 1, output = 2}

[extensions.fs]
cmd = "npx"
timeout = -1

[providers.x]
base_url = "foo"
"""
    assert problems(tmp_path / "c.toml", text) == (
        "F:2: unknown key `provder`; did you mean provider or providers?",
        'F:3: `mode` must be one of plan, ask, auto, chat, not "atuo"; did you mean auto?',
        "F:4: unknown key `max_cost`; did you mean limits.max_cost?",
        'F:5: `limits.max_turns` must be a whole number, or none, not "x".',
        'F:6: `checks` must be a list of text, not "pytest".',
        "F:7: `ui` is a table of settings, not 3; its keys are ascii, theme.",
        "F:8: `context_files` must be a list of plain file names, without a slash.",
        'F:9: `encoding` must be text that is not empty, not "".',
        'F:12: `models."gpt-4.1".price` must be a table with input, output, cache_read, cache_write: '
        "object contains unknown field `inpt`.",
        "F:16: `extensions.fs.timeout` must be a number > 0.0, not -1.",
        'F:19: `providers.x.base_url` must be an address that begins with http:// or https://, or an absolute path, not "foo".',
        "F:14: extensions.fs needs `type`: builtin, stdio, streamable_http.",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = ", "F:1: not valid TOML: invalid value."),
        ('mode = "ask"\nmode = "auto"', "F:2: not valid TOML: cannot overwrite a value."),
        ('x = """\nabc', "F:2: not valid TOML: unterminated string."),
        ('[extensions.a]\ntype = "stdio"', "F:1: extensions.a needs `cmd`, because its type is stdio."),
        ('[extensions.a]\ntype = "streamable_http"', "F:1: extensions.a needs `uri`, because its type is streamable_http."),
        ("rules = 3", "F:1: `rules` is a list of tables, each written [[rules]], not 3."),
        ("[limits]\n\nmax_seconds = true", "F:3: `limits.max_seconds` must be a number, or none, not true."),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path / "c.toml", text) == (problem,)


def test_a_file_that_is_not_utf8_a_folder_or_huge_is_refused_in_a_sentence(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'model = "a"\n# caf\xe9\n')
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * ((1 << 20) + 1))
    for path, words in ((latin, ":2: not UTF-8"), (tmp_path, "cannot be read"), (big, "larger than")):
        with pytest.raises(ConfigError, match=words):
            load(user=path)


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes('\ufeffmodel = "a"\r\n\r\nmodle = 1\r\n'.encode())
    with pytest.raises(ConfigError, match=":3: unknown key `modle`"):
        load(user=path)
    path.write_bytes('\ufeffmodel = "a"\r\n'.encode())
    assert load(user=path).settings.model == "a"


def test_wrong_environment_and_flags_name_the_variable_and_the_key() -> None:
    with pytest.raises(ConfigError, match=r"GOOSE_PY_LIMITS_MAX_TURNS: `limits.max_turns` must be"):
        load(env={"GOOSE_PY_LIMITS_MAX_TURNS": "1.5"})
    with pytest.raises(ConfigError, match="command line: unknown key `modl`; did you mean model"):
        load(flags={"modl": "x"})
    with pytest.raises(ConfigError, match="not a key"):
        load(flags={"a..b": "x"})


def test_a_misspelt_variable_of_ours_is_a_warning_and_those_of_others_are_not_looked_at() -> None:
    loaded = load(env={"GOOSE_PY_MODE_": "x", "GOOSE_PY_HOME": "/x", "GOOSE_PROVIDER": "x", "OPENAI_API_KEY": "k"})
    assert loaded.warnings == ("GOOSE_PY_MODE_ is no setting; did you mean GOOSE_PY_MODE or GOOSE_PY_MODEL?",)
    assert loaded.settings == Settings()


def test_names_with_dots_are_written_in_quotes() -> None:
    settings = load(flags={'models."gpt-4.1".images': "yes", "models.x.price": "{input = 1, output = 2}"}).settings
    assert settings.models["gpt-4.1"].images is True
    assert settings.models["x"].price is not None and settings.models["x"].price.output == 2.0


@pytest.mark.case("A26")
def test_a_dotenv_file_of_the_repository_has_no_effect(tmp_path: Path) -> None:
    """With the same assignments in the real environment as the control: those count."""
    lines = {"GOOSE_PY_HOME": "./.app", "GOOSE_PY_MODE": "auto", "OPENAI_BASE_URL": "http://e", "PATH": "./bin"}
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    for place in (tmp_path / ".env", tmp_path / ".goose" / ".env"):
        write(place, text)
    project = write(tmp_path / ".goose" / "config.toml", "")
    assert load(user=tmp_path / "u.toml", project=project, trusted=True, env={}).settings == Settings()
    assert load(user=tmp_path / "u.toml", project=project, trusted=True, env=lines).settings.mode == "auto"


@pytest.mark.case("A25")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\n" + "a." * 500_000 + "a = 1\n", "F:2: a key of more than 50 parts: this is no configuration of ours."),
        ("[" + "'.'." * 200_000 + "a]\n", "F:1: a key of more than 50 parts: this is no configuration of ours."),
        ("a = " + "[" * 500_000, "F: nested too deeply: this is no configuration of ours."),
        ("a = " + "{a=" * 200_000, "F: nested too deeply: this is no configuration of ours."),
    ],
    ids=["key", "table", "list", "inline"],
)
def test_a_file_that_would_take_all_memory_to_read_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    assert problems(tmp_path / "config.toml", text) == (said,)
    project = write(tmp_path / "p.toml", text)
    loaded = load(project=project, trusted=True)
    assert loaded.settings == Settings() and loaded.warnings == (said.replace("F", str(project), 1),)


def test_dots_in_strings_and_comments_are_no_parts_of_a_key(tmp_path: Path) -> None:
    dots = "." * 200
    user = write(tmp_path / "u.toml", f"model = 'm'  # {dots}\ncontext_files = [\"{dots}\"]\n")
    assert load(user=user).settings.context_files == (dots,)
