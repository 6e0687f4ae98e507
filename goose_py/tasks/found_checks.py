"""The check commands that a project's own files give away, for projects that say nothing of checks.

Nothing is executed to find them, and finding one does not run it: see `bootstrap.found_checks` for when they count.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec


class FoundCheck(msgspec.Struct, frozen=True):
    """A shell command for the root of the project, and the file that it was found by."""

    command: str
    because: str


class Project(msgspec.Struct, frozen=True):
    """What is looked at: the `names` in the root folder (folders end with a slash), the text of a file there (None where it is
    missing, too large or no text), and whether a program is on the user's PATH."""

    names: Collection[str]
    read: Callable[[str], str | None]
    has: Callable[[str], bool]


def found_checks(project: Project) -> tuple[FoundCheck, ...]:
    """The test command of each kind of project that this one is; a `test` target of its own for all of it (make, just)
    outweighs them. Commands whose program is missing are left out. Never raises."""
    whole = tuple(_runnable(project, _of_targets(project)))
    return whole[:1] or tuple(_runnable(project, _of_languages(project)))


def _runnable(project: Project, found: Iterator[FoundCheck]) -> Iterator[FoundCheck]:
    for check in found:
        program = check.command.split()[0]
        if program.startswith("./") or project.has(program):
            yield check


_MAKE_TEST = re.compile(r"^test\s*:(?!=)", re.MULTILINE)
_JUST_TEST = re.compile(r"^@?test\b[^:=\n]*:(?!=)", re.MULTILINE)


def _of_targets(project: Project) -> Iterator[FoundCheck]:
    for names, pattern, command in (
        (("GNUmakefile", "makefile", "Makefile"), _MAKE_TEST, "make test"),
        (("justfile", "Justfile", ".justfile"), _JUST_TEST, "just test"),
    ):
        for name in names:
            if name in project.names and pattern.search(project.read(name) or ""):
                yield FoundCheck(command, name)
                break


def _of_languages(project: Project) -> Iterator[FoundCheck]:
    yield from _of_python(project)
    yield from _of_javascript(project)
    for name, command in (
        ("Cargo.toml", "cargo test"),
        ("go.mod", "go test ./..."),
        ("mix.exs", "mix test"),
        ("Package.swift", "swift test"),
        ("pom.xml", "./mvnw -q test" if "mvnw" in project.names else "mvn -q test"),
        ("build.gradle", _gradle(project)),
        ("build.gradle.kts", _gradle(project)),
        (".rspec", "bundle exec rspec" if "Gemfile" in project.names else "rspec"),
    ):
        if name in project.names:
            yield FoundCheck(command, name)
    solution = next((name for name in sorted(project.names) if name.endswith((".sln", ".slnx", ".csproj", ".fsproj"))), None)
    if solution is not None:
        yield FoundCheck("dotnet test", solution)
    if _is_given(_scripts(project, "composer.json", "scripts").get("test")):
        yield FoundCheck("composer test", "composer.json")


def _gradle(project: Project) -> str:
    return "./gradlew test" if "gradlew" in project.names else "gradle test"


def _of_python(project: Project) -> Iterator[FoundCheck]:
    if (because := _sign_of_pytest(project)) is not None:
        if "uv.lock" in project.names and project.has("uv"):
            yield FoundCheck("uv run pytest -q", because)
        elif "poetry.lock" in project.names and project.has("poetry"):
            yield FoundCheck("poetry run pytest -q", because)
        elif project.has("pytest"):
            yield FoundCheck("pytest -q", because)
        else:
            yield FoundCheck("python3 -m pytest -q", because)
    elif "manage.py" in project.names:
        yield FoundCheck("python3 manage.py test", "manage.py")


def _sign_of_pytest(project: Project) -> str | None:
    for name in ("pytest.ini", "conftest.py"):
        if name in project.names:
            return name
    for name, header in _PYTEST_HEADERS.items():
        if name in project.names and header.search(project.read(name) or ""):
            return name
    alone = next((name for name in sorted(project.names) if re.fullmatch(r"test_\w+\.py", name)), None)
    if alone is not None or "manage.py" in project.names or not _DESCRIBES_PYTHON & set(project.names):
        return alone
    return next((name for name in ("tests/", "test/") if name in project.names), None)


_PYTEST_HEADERS = {
    "pyproject.toml": re.compile(r"""^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*["']?pytest["']?[ \t]*[.\]]""", re.MULTILINE),
    "setup.cfg": re.compile(r"^\[tool:pytest\]", re.MULTILINE),
    "tox.ini": re.compile(r"^\[pytest\]", re.MULTILINE),
}
"""Their parsers are for files that one trusts: tomllib takes memory by the square of a key's length, and configparser fails in
ways of its own."""
_DESCRIBES_PYTHON = frozenset({"pyproject.toml", "setup.py", "setup.cfg", "requirements.txt"})
_BY_LOCK = {
    "pnpm-lock.yaml": "pnpm test",
    "yarn.lock": "yarn test",
    "bun.lock": "bun run test",
    "bun.lockb": "bun run test",
}
_NO_TEST = "no test specified"
"""What `npm init` writes where there are no tests (docs.npmjs.com, `npm init`)."""


def _of_javascript(project: Project) -> Iterator[FoundCheck]:
    test = _scripts(project, "package.json", "scripts").get("test")
    if isinstance(test, str) and test.strip() and _NO_TEST not in test:
        command = next((command for lock, command in _BY_LOCK.items() if lock in project.names), "npm test")
        yield FoundCheck(command, "package.json")
    for name in ("deno.json", "deno.jsonc"):
        if _is_given(_scripts(project, name, "tasks").get("test")):
            yield FoundCheck("deno task test", name)
            break


def _is_given(script: object) -> bool:
    return isinstance(script, (str, list, dict)) and bool(script)


def _scripts(project: Project, name: str, table: str) -> Mapping[str, Any]:
    if name not in project.names:
        return {}
    try:
        content = json.loads(project.read(name) or "")
    except (ValueError, RecursionError):
        return {}
    scripts = content.get(table) if isinstance(content, dict) else None
    return scripts if isinstance(scripts, dict) else {}
