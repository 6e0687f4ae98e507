"""Which check commands a project's files give away."""

import json
import resource
import sys
from pathlib import Path

import pytest

from goose_py.tasks.found_checks import FoundCheck, Project, found_checks

EVERYTHING = lambda program: True  # noqa: E731


def project(files: dict[str, str], folders: tuple[str, ...] = (), has=EVERYTHING) -> Project:
    return Project(names={*files, *(f"{name}/" for name in folders)}, read=files.get, has=has)


def scripts(**named: str) -> str:
    return json.dumps({"scripts": named})


@pytest.mark.parametrize(
    ("files", "folders", "expected"),
    [
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, (), [("pytest -q", "pyproject.toml")]),
        ({"pyproject.toml": "[tool.pytest]\n", "uv.lock": ""}, (), [("uv run pytest -q", "pyproject.toml")]),
        ({"pyproject.toml": "[tool.pytest]\n", "poetry.lock": ""}, (), [("poetry run pytest -q", "pyproject.toml")]),
        ({"pyproject.toml": "[project]\n"}, ("tests",), [("pytest -q", "tests/")]),
        ({"setup.py": ""}, ("test",), [("pytest -q", "test/")]),
        ({"pytest.ini": ""}, (), [("pytest -q", "pytest.ini")]),
        ({"setup.cfg": "[tool:pytest]\naddopts = -q\n"}, (), [("pytest -q", "setup.cfg")]),
        ({"tox.ini": "[pytest]\n"}, (), [("pytest -q", "tox.ini")]),
        ({"pyproject.toml": "[project]\nname = 'x'\n[ tool . \"pytest\" ]\n"}, (), [("pytest -q", "pyproject.toml")]),
        ({"pyproject.toml": "[tool.pytester]\n"}, (), []),
        ({"tox.ini": "[testenv]\n"}, (), []),
        ({"cart.py": "", "test_cart.py": ""}, (), [("pytest -q", "test_cart.py")]),
        ({"manage.py": "", "requirements.txt": ""}, ("tests",), [("python3 manage.py test", "manage.py")]),
        ({"manage.py": "", "pytest.ini": ""}, (), [("pytest -q", "pytest.ini")]),
        ({"package.json": scripts(test="vitest run")}, (), [("npm test", "package.json")]),
        ({"package.json": scripts(test="jest"), "pnpm-lock.yaml": ""}, (), [("pnpm test", "package.json")]),
        ({"package.json": scripts(test="jest"), "yarn.lock": ""}, (), [("yarn test", "package.json")]),
        ({"package.json": scripts(test="bun test"), "bun.lock": ""}, (), [("bun run test", "package.json")]),
        ({"package.json": scripts(test='echo "Error: no test specified" && exit 1')}, (), []),
        ({"package.json": scripts(build="tsc")}, (), []),
        ({"deno.json": json.dumps({"tasks": {"test": "deno test"}})}, (), [("deno task test", "deno.json")]),
        ({"Cargo.toml": ""}, (), [("cargo test", "Cargo.toml")]),
        ({"go.mod": ""}, (), [("go test ./...", "go.mod")]),
        ({"pom.xml": ""}, (), [("mvn -q test", "pom.xml")]),
        ({"pom.xml": "", "mvnw": ""}, (), [("./mvnw -q test", "pom.xml")]),
        ({"build.gradle.kts": "", "gradlew": ""}, (), [("./gradlew test", "build.gradle.kts")]),
        ({".rspec": "", "Gemfile": ""}, (), [("bundle exec rspec", ".rspec")]),
        ({"mix.exs": ""}, (), [("mix test", "mix.exs")]),
        ({"Shop.sln": "", "A.csproj": ""}, (), [("dotnet test", "A.csproj")]),
        ({"composer.json": scripts(test="phpunit")}, (), [("composer test", "composer.json")]),
        ({"Makefile": "build:\n\ttrue\ntest: build\n\tpytest\n", "Cargo.toml": ""}, (), [("make test", "Makefile")]),
        ({"Makefile": "test := no\nbuild:\n\ttrue\n", "Cargo.toml": ""}, (), [("cargo test", "Cargo.toml")]),
        ({"Makefile": "latest:\n\ttrue\n.PHONY: test\n"}, (), []),
        ({"justfile": "test *args:\n    cargo test\n"}, (), [("just test", "justfile")]),
        ({"justfile": "test_data := 'x'\n"}, (), []),
        (
            {"Cargo.toml": "", "package.json": scripts(test="jest")},
            (),
            [("npm test", "package.json"), ("cargo test", "Cargo.toml")],
        ),
        ({"README.md": ""}, ("docs", "tests"), []),
    ],
)
def test_the_test_command_is_told_by_the_files_of_the_root(files, folders, expected) -> None:
    assert found_checks(project(files, folders)) == tuple(FoundCheck(*each) for each in expected)


def test_a_command_whose_program_is_missing_is_not_offered() -> None:
    files = {"Cargo.toml": "", "pyproject.toml": "[tool.pytest]\n", "uv.lock": "", "Makefile": "test:\n"}
    assert found_checks(project(files, has=lambda program: program == "python3")) == (
        FoundCheck("python3 -m pytest -q", "pyproject.toml"),
    )
    assert found_checks(project(files, has=lambda program: False)) == ()


@pytest.mark.parametrize("name", ["package.json", "pyproject.toml", "setup.cfg", "tox.ini", "Makefile", "composer.json"])
@pytest.mark.parametrize("text", ["", "\0", "[" * 5000, '{"scripts": 5}', '{"scripts": {"test": 5}}', "[tool\n", "tool = 3\n"])
def test_files_that_are_no_such_files_give_nothing_away(name, text) -> None:
    assert found_checks(project({name: text})) == ()


def test_a_file_that_cannot_be_read_gives_nothing_away() -> None:
    named = Project(names={"package.json", "Makefile", "tox.ini"}, read=lambda name: None, has=EVERYTHING)
    assert found_checks(named) == ()


@pytest.mark.case("A25")
@pytest.mark.parametrize(
    "files",
    [
        {"setup.cfg": "[metadata]\nname\n  continued\n"},
        {"pyproject.toml": "a." * 500_000 + "a = 1\n"},
        {"pyproject.toml": "[" + "a." * 500_000 + "a]\n"},
        {"pyproject.toml": "a = " + "{a=" * 250_000},
        {"package.json": '{"a":' * 150_000},
        {"justfile": "test " * 200_000},
        {"Makefile": "test" + " " * 1_000_000},
    ],
    ids=["continued", "key", "table", "nested", "json", "just", "make"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="reads how much memory is used from /proc")
def test_what_a_stranger_writes_there_takes_neither_memory_nor_time(files) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), hard))
    try:
        assert found_checks(project(files)) == ()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
