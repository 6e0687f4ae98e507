"""`goose-py run`: one task from start to end without a screen."""

import sys
from pathlib import Path
from typing import Any

import click

from goose_py.protocol.decoding import decoded
from goose_py.protocol.errors import UserError

COPY = "Work on a copy where the folder is no git repository."


def limit_options(command: Any, *, model: bool = True, copy: bool = True) -> Any:
    """Flags shared by everything that starts a task. Each is the setting of the same name, for this task alone. `model` false
    leaves --model to the command, `copy` false leaves out --copy."""
    for option in reversed(
        [
            click.option("--provider", help="Provider that answers."),
            *([click.option("--model", help="Model that answers.")] if model else []),
            click.option("--effort", help="How hard it thinks: off, minimal, low, medium, high, max."),
            click.option("--mode", help="plan, ask, auto or chat (Goose's approve and smart_approve are accepted)."),
            click.option("--base", help="Start from head or a revision instead of your checkout as it is."),
            click.option("--check", "checks", multiple=True, help="Command that has to succeed; auto: the tests; none."),
            click.option("--max-turns", type=int, help="Model requests it may make."),
            click.option("--max-seconds", type=float, help="Seconds it may work."),
            click.option("--max-cost", type=float, help="US dollars it may spend."),
            click.option("--max-tokens", type=int, help="Tokens it may use."),
            click.option("--env", multiple=True, metavar="NAME", help="Variable of yours that commands get, or a glob."),
            click.option("--sandbox", help="Weakest sandbox to accept: full, partial or none."),
            *([click.option("--copy", "as_copy", is_flag=True, help=COPY)] if copy else []),
        ]
    ):
        command = option(command)
    return command


def overrides_of(options: dict[str, Any]) -> dict[str, Any]:
    """The settings, by dotted key, that the flags name."""
    keys = {
        "provider": "provider",
        "model": "model",
        "effort": "effort",
        "mode": "mode",
        "max_turns": "limits.max_turns",
        "max_seconds": "limits.max_seconds",
        "max_cost": "limits.max_cost",
        "max_tokens": "limits.max_tokens",
        "sandbox": "sandbox.level",
    }
    found = {key: options[name] for name, key in keys.items() if options.get(name) is not None}
    if options.get("checks"):
        found["checks"] = tuple(options["checks"])
    if options.get("env"):
        found["sandbox.env"] = tuple(options["env"])
    return found


@click.command()
@click.argument("words", nargs=-1, metavar="[recipe FILE]")
@click.option("-t", "--text", help="What to do.")
@click.option("-i", "--instructions", "file", metavar="FILE", help="Read what to do from a file; - is standard input.")
@click.option("--recipe", "recipe", metavar="FILE", help="The same as `run recipe FILE`.")
@click.option("--params", multiple=True, metavar="KEY=VALUE", help="Value of a recipe's parameter.")
@click.option("--allow-exec", multiple=True, metavar="SHA256", help="Allow a command of an untrusted recipe, by its hash.")
@click.option("--resume", metavar="ID", help="Go on with a task from where its log ends.")
@click.option("--explain", is_flag=True, help="Say what the recipe is and takes, and stop.")
@click.option("--render-recipe", is_flag=True, help="Print the recipe with its parameters filled in, and stop.")
@click.option("--output-format", type=click.Choice(["text", "json", "stream-json"]), default="text", show_default=True)
@click.option("--raw", is_flag=True, help="Do not escape control characters in the result.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
@limit_options
def run(words: tuple[str, ...], **options: Any) -> int:
    """Run a task to its end: `-t TEXT`, `-i FILE`, or `recipe FILE`.

    Only the result goes to standard output. The exit code tells how it ended: 0 done and verified as far as checks are
    configured, 1 failed, 2 wrong use, 3 an approval was needed, 4 a budget was reached, 5 the provider failed, 6 a check
    fails, 124 time is up, 130 interrupted.
    """
    from goose_py.actions.runs.run import RunRequest, run_task

    recipe = options["recipe"]
    if words:
        if words[0] != "recipe" or len(words) != 2:
            raise click.UsageError(
                f"Cannot make sense of {' '.join(words)!r}. Say `run recipe FILE`, `run -t TEXT` or `run -i FILE`."
            )
        recipe = words[1]
    sources = [name for name, value in (("-t", options["text"]), ("-i", options["file"]), ("recipe", recipe)) if value]
    if len(sources) > 1:
        raise click.UsageError(f"{' and '.join(sources)} exclude each other.")
    if not sources and not options["resume"]:
        raise click.UsageError("There is nothing to do: give -t TEXT, -i FILE or `recipe FILE`.")
    if options["explain"] or options["render_recipe"]:
        if not recipe:
            raise click.UsageError("--explain and --render-recipe need a recipe.")
        from goose_py.actions.recipes.library import explain_recipe, print_rendered

        return (explain_recipe if options["explain"] else print_rendered)(recipe, options["params"])
    return run_task(
        RunRequest(
            text=_text(options),
            recipe=recipe,
            params=_params(options["params"]),
            resume=options["resume"],
            base=options["base"],
            as_copy=options["as_copy"],
            overrides=overrides_of(options),
            allow_exec=options["allow_exec"],
            output=options["output_format"],
            raw=options["raw"],
            quiet=options["quiet"],
        )
    )


def _text(options: dict[str, Any]) -> str | None:
    if options["text"] is not None:
        return options["text"]
    if options["file"] is None:
        return None
    if options["file"] == "-":
        text = decoded(sys.stdin.buffer.read())
        where = "standard input"
    else:
        try:
            text = decoded(Path(options["file"]).expanduser().read_bytes())
        except OSError as error:
            raise UserError(f"Cannot read {options['file']}: {error.strerror}.") from None
        where = options["file"]
    if not text.strip():
        raise UserError(f"There is nothing to do: {where} is empty.")
    return text


def _params(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in given:
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise click.UsageError(f"--params takes KEY=VALUE, not {item!r}.")
        found[key] = value
    return found
