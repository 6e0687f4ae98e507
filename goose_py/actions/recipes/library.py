"""Recipes from the command line: found, shown, filled in, and turned into what a task is asked to be."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from goose_py import bundled
from goose_py.bootstrap.host import Host
from goose_py.config.load import Loaded
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.modes import Mode
from goose_py.protocol.safe_text import safe_text

if TYPE_CHECKING:
    from goose_py.recipes.recipe import Recipe

EXIT_APPROVAL = 3


class NotAllowed(GooseError):
    """A recipe would run commands that nobody has allowed."""

    exit_code = EXIT_APPROVAL


@dataclass(frozen=True)
class TaskOfRecipe:
    """The parts of a task spec that come from a recipe."""

    title: str = ""
    prompt: str = ""
    instructions: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    extensions: tuple[dict[str, Any], ...] = ()
    own_extensions: bool = False
    checks: tuple[str, ...] = ()
    response_schema: dict[str, Any] | None = None
    retry: dict[str, Any] | None = None
    recipe: dict[str, Any] | None = None

    def spec(self) -> dict[str, Any]:
        """The fields of a `TaskSpec` that are a recipe's alone."""
        return {name: getattr(self, name) for name in RECIPE_FIELDS}


RECIPE_FIELDS = ("instructions", "extensions", "own_extensions", "checks", "response_schema", "retry", "recipe")
STRICTER: Sequence[Mode] = ("chat", "plan", "ask", "auto")


def search_path(host: Host) -> tuple[Path, ...]:
    """Goose's places, ours, and last the bundled ones."""
    named = [Path(part) for part in host.env.get("GOOSE_RECIPE_PATH", "").split(":") if part]
    return (
        host.cwd,
        *named,
        host.paths.recipes,
        host.cwd / ".goose" / "recipes",
        host.cwd / ".agents" / "recipes",
        host.home / ".agents" / "recipes",
        bundled.folder("recipes"),
    )


async def task_of_recipe(
    host: Host, source: str, params: Mapping[str, str], *, allow_exec: tuple[str, ...] = ()
) -> TaskOfRecipe:
    """Raises RecipeError, and NotAllowed where it would run commands that were not allowed."""
    from goose_py.recipes.render import render

    recipe, given = load_recipe(host, source, params)
    rendered = render(recipe, given, folder=host.cwd, home=host.home)
    _allow(host, rendered, allow_exec)
    if not (rendered.prompt or "").strip():
        raise UserError(f"{rendered.source.where}: it has no prompt, which a run without a person needs.")
    settings = rendered.settings
    overrides = {
        "provider": settings.provider,
        "model": settings.model,
        "effort": settings.effort,
        "mode": rendered.mode,
        "limits.max_turns": settings.max_turns or rendered.limits.max_turns,
        "limits.max_seconds": rendered.limits.max_seconds,
        "limits.max_cost": rendered.limits.max_cost,
        "limits.max_tokens": rendered.limits.max_tokens,
        "sandbox.env": rendered.env or None,
    }
    return TaskOfRecipe(
        title=rendered.title,
        prompt=rendered.prompt or "",
        instructions=rendered.instructions or "",
        overrides={key: value for key, value in overrides.items() if value is not None},
        extensions=tuple(_entry(entry) for entry in rendered.extensions or ()),
        own_extensions=rendered.extensions is not None,
        checks=rendered.checks,
        response_schema=dict(rendered.response.json_schema) if rendered.response else None,
        retry=msgspec.to_builtins(rendered.retry) if rendered.retry else None,
        recipe={"title": rendered.title, "where": rendered.source.where, "sha256": rendered.source.sha256},
    )


def overrides_with_recipe(loaded: Loaded, recipe: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The task's own settings, where `loaded` are those with the flags. A recipe is somebody else's text: it may choose the
    model, but only tighten the mode and the limits that the user set, and name only variables that the user lets commands have.
    Where nobody set a mode it is "auto": nobody can be asked, and the sandbox is the boundary. Raises NotAllowed."""
    origins = loaded.origins()
    overrides: dict[str, Any] = {"mode": "auto"} if "mode" not in origins else {}
    mode: Mode = loaded.settings.mode if "mode" in origins else "auto"
    for key, value in recipe.items():
        if key == "mode":
            overrides["mode"] = min(value, mode, key=STRICTER.index)
        elif key.startswith("limits."):
            own = getattr(loaded.settings.limits, key.removeprefix("limits."))
            overrides[key] = value if own is None else min(value, own)
        elif key == "sandbox.env":
            _require_granted(loaded, value)
        elif key not in flags:
            overrides[key] = value
    return {**flags, **overrides}


def _require_granted(loaded: Loaded, names: Sequence[str]) -> None:
    from goose_py.sandbox.variables import covers

    if wanted := [name for name in names if not covers(loaded.settings.sandbox.env, name)]:
        grants = " ".join(f"--env {name}" for name in wanted)
        raise NotAllowed(
            f"The recipe needs {', '.join(wanted)} of your environment, which you have not granted: `{grants}` grants it to "
            "this task, sandbox.env to all."
        )


def _entry(entry: object) -> dict[str, Any]:
    return {
        key: value for key, value in msgspec.to_builtins(entry).items() if value not in (None, "", [], {}) and key != "line"
    }


def _allow(host: Host, rendered: Any, allowed: tuple[str, ...]) -> None:
    """Our own recipes run. Others are asked about with everything that they would run, nested ones included; what is
    remembered is bound to exactly these commands. Raises NotAllowed."""
    from goose_py.recipes.executables import executables, fingerprint

    place = rendered.source.folder
    if place is not None and place.resolve() == bundled.folder("recipes").resolve():
        return
    found = executables(rendered, folder=host.cwd, home=host.home)
    if not found:
        return
    digest = fingerprint(found)
    if digest in allowed or all(item.sha256 in allowed for item in found):
        return
    from goose_py.bootstrap.trust_store import trust_store
    from goose_py.permissions.trust import identify

    found_in = identify(place or host.home)
    # A place of its own: who lets a recipe run has said nothing of the configuration of the folder that it lies in.
    store, folder = trust_store(host), replace(found_in, path=f"recipes of {found_in.path}")
    content = {"runs": sorted(item.content for item in found)}
    question = store.question(folder, rendered.source.where, content)
    if question.approved:
        return
    listing = "\n".join(f"  {safe_text(item.summary)}   ({safe_text(item.recipe)})" for item in found)
    if question.changed:
        listing += f"\nIt has changed since you allowed it:\n{safe_text(question.changed)}"
    if not (host.stdin_is_terminal and sys.stderr.isatty()):
        raise NotAllowed(
            f"{rendered.source.where} runs programs of its own, which nobody has allowed:\n{listing}\n"
            f"Look at them, then allow exactly these with --allow-exec={digest}"
        )
    sys.stderr.write(f"This recipe runs programs of its own:\n{listing}\nRun them? [y]es once, [a]lways exactly these, [N]o: ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes", "a", "always"):
        raise NotAllowed("The recipe was not run.")
    if answer in ("a", "always"):
        store.trust(folder)
        store.approve(folder, rendered.source.where, content)


def load_recipe(host: Host, source: str, params: Mapping[str, str]) -> tuple["Recipe", dict[str, str]]:
    """The recipe of a file, a name or a `goose://recipe` link, and its parameters: those of the link, over which `params`
    win. Raises RecipeError."""
    from goose_py.recipes.deeplink import decode
    from goose_py.recipes.load import load

    if source.startswith("goose://"):
        linked = decode(source)
        return linked.recipe, {**linked.parameters, **params}
    return load(source, folder=host.cwd, search=search_path(host)), dict(params)


def explain_recipe(source: str, params: tuple[str, ...]) -> int:
    from goose_py.recipes.explain import explain_text

    recipe, given = load_recipe(Host.here(), source, dict(pairs(params)))
    sys.stdout.write(safe_text(explain_text(recipe, given)) + "\n")
    return 0


def print_rendered(source: str, params: tuple[str, ...]) -> int:
    """As YAML that is a recipe again; texts of several lines as blocks."""
    from ruamel.yaml import YAML

    from goose_py.recipes.render import render

    host = Host.here()
    recipe, given = load_recipe(host, source, dict(pairs(params)))
    rendered = msgspec.to_builtins(render(recipe, given, folder=host.cwd, home=host.home), enc_hook=str)
    yaml = YAML()
    yaml.width = 128
    shown = {key: value for key, value in rendered.items() if key not in ("source", "values", "warnings", "parameters")}
    yaml.dump(_readable(shown), sys.stdout)
    return 0


def _readable(value: Any) -> Any:
    """Without what is not set, and without the line numbers that only messages need."""
    from ruamel.yaml.scalarstring import LiteralScalarString

    if isinstance(value, dict):
        kept = {key: _readable(item) for key, item in value.items() if key != "line"}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {})}
    if isinstance(value, (list, tuple)):
        return [_readable(item) for item in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


def pairs(params: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (item.partition("=") for item in params)]
