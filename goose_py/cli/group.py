"""The root command and its table of commands."""

from importlib import import_module
from typing import Any

import click

from goose_py import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("goose_py.cli.run:run", "Run a task to its end without a screen (a text, a file, or a recipe)."),
    "demo": ("goose_py.cli.setup:demo", "See the whole way on a small repository, without an API key."),
    "review": ("goose_py.cli.review:review", "Show what a task changed, with the evidence of its checks."),
    "approve": ("goose_py.cli.review:approve", "Keep a task's changes: all, a file, or single hunks."),
    "reject": ("goose_py.cli.review:reject", "Drop a task's changes: all, a file, or single hunks."),
    "comment": ("goose_py.cli.review:comment", "Comment on a task's changes, or take a comment back."),
    "apply": ("goose_py.cli.review:apply", "Apply what was kept to your checkout."),
    "inbox": ("goose_py.cli.inbox:inbox", "What waits for you: the questions of every task, and their answers."),
    "compare": ("goose_py.cli.compare:compare", "The same task on several models or recipes, side by side."),
    "delegate": ("goose_py.cli.delegate:delegate", "A task in the background that ends in a draft pull request."),
    "task": ("goose_py.cli.task:task", "Start, list, show, attach, restore and discard tasks."),
    "session": ("goose_py.cli.session:session", "List, show, search and export sessions."),
    "recipe": ("goose_py.cli.recipe:recipe", "Validate, explain and list recipes."),
    "models": ("goose_py.cli.models:models", "List and show providers and models."),
    "permissions": ("goose_py.cli.permissions:permissions", "List and revoke grants, test a command against the rules."),
    "trust": ("goose_py.cli.setup:trust", "Show and trust a repository's own configuration."),
    "cost": ("goose_py.cli.cost:cost", "What was spent, by task and day."),
    "configure": ("goose_py.cli.setup:configure", "Choose a provider and a model, store keys."),
    "config": ("goose_py.cli.config:config", "Show and set settings."),
    "doctor": ("goose_py.cli.setup:doctor", "Say what works here and what does not."),
    "mcp": ("goose_py.cli.mcp:mcp", "Serve a bundled extension to any MCP client, over stdio."),
    "worker": ("goose_py.cli.worker:worker", ""),
    "fork-server": ("goose_py.cli.worker:fork_server", ""),
}
HIDDEN = frozenset({"worker", "fork-server"})


class LazyGroup(click.Group):
    """Knows its commands by name and one line each; imports one when it is called or asked for its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        found = COMMANDS.get(name)
        if found is None:
            return None
        module, _, attribute = found[0].partition(":")
        return getattr(import_module(module), attribute)

    def resolve_command(self, ctx: click.Context, args: list[str]):  # type: ignore[no-untyped-def]
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean `goose-py {near[0]}`?" if near else " `goose-py --help` lists the commands."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.command(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="goose-py %(version)s")
@click.option("--new", is_flag=True, help="Begin a new conversation instead of attaching to one that is open.")
@click.option("--inline", is_flag=True, help="Below the prompt of the shell, not on a screen of its own.")
@click.option("--provider", help="Provider that answers.")
@click.option("--model", help="Model that answers.")
@click.option("--effort", help="How hard it thinks: off, minimal, low, medium, high, max.")
@click.option("--mode", help="plan, ask, auto or chat.")
@click.option("--base", help="Start from head or a revision instead of your checkout as it is.")
@click.option("--env", multiple=True, metavar="NAME", help="Variable of yours that commands get, or a glob.")
@click.pass_context
def root(ctx: click.Context, new: bool, inline: bool, env: tuple[str, ...], **flags: str | None) -> int | None:
    """A coding agent that works in a git worktree and lets you approve every change.

    Without a command it opens a conversation about the repository you are in.
    """
    if ctx.invoked_subcommand is None:
        from goose_py.cli.tui import open_conversation

        given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
        given |= {"sandbox.env": env} if env else {}
        return open_conversation(new=new, inline=inline, flags=given)
    return None
