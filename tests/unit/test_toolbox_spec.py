"""Extensions as values, their manifests, and where the bundled ones are."""

import json
from pathlib import Path

import pytest

from goose_py import bundled
from goose_py.protocol.errors import UserError
from goose_py.toolbox import Builtin, Manifest, Stdio, StreamableHttp
from goose_py.toolbox.spec import forbidden_env, identity

BASE = Stdio(name="web", cmd="npx", args=("-y", "server"), env={"A": "1"}, env_keys=("TOKEN",), cwd="sub")


@pytest.mark.parametrize(
    "other",
    [
        Stdio(name="web2", cmd="npx", args=("-y", "server"), env={"A": "1"}, env_keys=("TOKEN",), cwd="sub"),
        Stdio(name="web", cmd="uvx", args=("-y", "server"), env={"A": "1"}, env_keys=("TOKEN",), cwd="sub"),
        Stdio(name="web", cmd="npx", args=("-y", "server2"), env={"A": "1"}, env_keys=("TOKEN",), cwd="sub"),
        Stdio(name="web", cmd="npx", args=("-y", "server"), env={"A": "2"}, env_keys=("TOKEN",), cwd="sub"),
        Stdio(name="web", cmd="npx", args=("-y", "server"), env={"A": "1"}, env_keys=("OTHER",), cwd="sub"),
        Stdio(name="web", cmd="npx", args=("-y", "server"), env={"A": "1"}, env_keys=("TOKEN",), cwd=None),
        StreamableHttp(name="web", uri="https://h/mcp"),
    ],
)
def test_whatever_decides_which_server_answers_makes_another_identity(other: Stdio | StreamableHttp) -> None:
    assert identity(other) != identity(BASE)


def test_limits_and_the_choice_of_tools_do_not_change_the_identity() -> None:
    same = Stdio(
        name="web",
        cmd="npx",
        args=("-y", "server"),
        env={"A": "1"},
        env_keys=("TOKEN",),
        cwd="sub",
        timeout=5,
        startup_timeout=1,
        available_tools=("a",),
        description="d",
    )
    assert identity(same) == identity(BASE)


def test_environment_names_that_decide_which_code_runs_are_found_in_any_case() -> None:
    env = dict.fromkeys(["PATH", "ld_preload", "DYLD_X", "Node_Options", "PYTHONPATH", "TOKEN", "MY_PATH"], "x")
    assert forbidden_env(env) == ("DYLD_X", "Node_Options", "PATH", "PYTHONPATH", "ld_preload")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Builtin(name="éé"), "no letter or digit"),
        (lambda: Stdio(name="a", cmd="x", timeout=0), "timeout is 0"),
        (lambda: StreamableHttp(name="a", uri="ftp://x"), "must begin with http"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_a_sentence(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()  # type: ignore[operator]


def extension(folder: Path, manifest: str, server: str = "", tools: str | None = "[]") -> Path:
    folder.mkdir()
    (folder / "extension.toml").write_text(manifest)
    (folder / "server.py").write_text(server)
    if tools is not None:
        (folder / "tools.json").write_text(tools)
    return folder


GOOD = 'name = "notes"\ndescription = "Takes notes."\nentry = "server:create_server"\nversion = "1"\n'


def test_a_manifest_is_read(tmp_path: Path) -> None:
    folder = extension(tmp_path / "notes", GOOD + "plain_names = false\n")
    manifest = Manifest.load(folder)
    assert (manifest.name, manifest.description, manifest.plain_names) == ("notes", "Takes notes.", False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "is not valid TOML"),
        ('entry = "server:f"', "'name' is missing"),
        ('name = "a"', "'entry' is missing"),
        ('name = 1\nentry = "server:f"', "'name' is 1, it must be a string"),
        ('name = "a"\nentry = "server"', 'must be "module:function"'),
        ('name = "a"\nentry = "../x:f"', 'must be "module:function"'),
        ('name = "a"\nentry = "other:f"', "other.py does not exist"),
        ('name = "a"\nentry = "server:f"\nin_process = "tools"', "'in_process' is 'tools', it must be \"module:function\""),
        ('name = "a"\nentry = "server:f"\nin_process = "tools:f"', "tools.py does not exist"),
        ('name = "a"\nentry = "server:f"\nplain_names = "no"', "it must be true or false"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_named_with_its_fault(tmp_path: Path, text: str, problem: str) -> None:
    folder = extension(tmp_path / "notes", text)
    with pytest.raises(UserError) as caught:
        Manifest.load(folder)
    assert str(caught.value).startswith(str(folder / "extension.toml"))
    assert problem in str(caught.value)


def test_a_folder_without_a_manifest_is_said_to_be_incomplete(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("tools", [None, "{", '{"a": 1}', "[1]"])
def test_a_tool_list_that_cannot_be_used_is_named(tmp_path: Path, tools: str | None) -> None:
    manifest = Manifest.load(extension(tmp_path / "notes", GOOD, tools=tools))
    with pytest.raises(UserError, match=r"tools\.json"):
        manifest.tools()


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_tool_list_is_what_tools_list_answers_or_its_list_alone(tmp_path: Path, wrapped: bool) -> None:
    listed = [{"name": "add", "inputSchema": {"type": "object"}}]
    tools = json.dumps({"tools": listed} if wrapped else listed)
    manifest = Manifest.load(extension(tmp_path / "notes", GOOD, tools=tools))
    assert [tool.name for tool in manifest.tools()] == ["add"]


@pytest.mark.parametrize("with_init", [True, False])
def test_a_server_is_loaded_as_a_package_of_its_own_with_relative_imports(tmp_path: Path, with_init: bool) -> None:
    folder = extension(tmp_path / "notes", GOOD, "from .words import WORD\n\n\ndef create_server():\n    return WORD\n")
    (folder / "words.py").write_text("WORD = 'loaded'\n")
    if with_init:
        (folder / "__init__.py").write_text("")
    create = Manifest.load(folder).load_entry()
    assert create() == "loaded"
    assert create.__module__.startswith("goose_py_extension_notes_")
    assert Manifest.load(folder).load_entry() is create


def test_two_folders_of_one_name_do_not_meet(tmp_path: Path) -> None:
    created = []
    for word in ("one", "two"):
        (tmp_path / word).mkdir()
        folder = extension(tmp_path / word / "notes", GOOD, f"def create_server():\n    return {word!r}\n")
        created.append(Manifest.load(folder).load_entry()())
    assert created == ["one", "two"]


def test_every_bundled_extension_has_a_manifest_and_a_tool_list_that_can_be_used() -> None:
    found = bundled.extensions()
    assert "developer" in found
    for name, folder in found.items():
        manifest = Manifest.load(folder)
        assert manifest.name == name
        assert manifest.tools()


def test_bundled_recipes_are_found_by_name() -> None:
    found = bundled.recipes()
    assert "fix-failing-test" in found
    for name, path in found.items():
        assert path.stem == name
        assert path.is_file()
