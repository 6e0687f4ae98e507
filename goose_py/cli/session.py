"""`goose-py session`: what was said and done, read from the logs."""

import click


@click.group()
def session() -> None:
    """Sessions are kept until you remove them. Every task has one, under the same id."""


@session.command("list")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@click.option("--all", "everywhere", is_flag=True, help="Those of every repository, not only of this one.")
def list_(as_json: bool, everywhere: bool) -> int:
    """List sessions, the newest first."""
    from goose_py.actions.tasks.moves import host_with_tasks
    from goose_py.cli.listing import print_tasks
    from goose_py.tasks.summaries import list_tasks

    host = host_with_tasks()
    return print_tasks(list_tasks(host.tasks), host, as_json=as_json, everywhere=everywhere)


@session.command()
@click.argument("id")
def show(id: str) -> int:
    """Print a session as Markdown."""
    from goose_py.actions.sessions.listing import export_session

    return export_session(id, "markdown", None)


@session.command()
@click.argument("id")
@click.option("--format", "form", type=click.Choice(["markdown", "json", "html"]), default="markdown", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of standard output.")
def export(id: str, form: str, output: str | None) -> int:
    """Export a session. Known secrets are left out."""
    from goose_py.actions.sessions.listing import export_session

    return export_session(id, form, output)


@session.command()
@click.argument("query", nargs=-1, required=True)
@click.option("--limit", default=20, show_default=True, help="Hits to show.")
def search(query: tuple[str, ...], limit: int) -> int:
    """Search the text of all sessions."""
    from goose_py.actions.sessions.listing import search_sessions

    return search_sessions(" ".join(query), limit)


@session.command()
@click.argument("id")
@click.argument("name")
def rename(id: str, name: str) -> int:
    """Give a session a name. Wherever an id is taken, its name is too."""
    from goose_py.actions.tasks.options import rename as give_name

    return give_name(id, name)


@session.command()
@click.argument("id")
@click.option("--at", type=int, metavar="SEQ", help="The last record that is part of the fork; the newest by default.")
@click.option("--name", help="What the fork is called.")
def fork(id: str, at: int | None, name: str | None) -> int:
    """Go on from somewhere in a session in a task of its own, with the files as they were there. Nothing is copied of the log,
    and the first session stays as it is."""
    from goose_py.actions.sessions.fork import fork_session

    return fork_session(id, at, name)


@session.command()
@click.argument("id", metavar="ID|FOLDER")
@click.option("--approve", is_flag=True, help="Allow again what a person had allowed by hand. Not for sessions of others.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def replay(id: str, approve: bool, as_json: bool) -> int:
    """Run a session again with its recorded replies, from its recorded base, in a worktree of its own, and say where results
    differ. No model is asked; commands run in the sandbox as they would in any task. Exit code 1: something differs."""
    from goose_py.actions.sessions.replay import replay_session

    return replay_session(id, approve=approve, as_json=as_json)


@session.command("import")
@click.argument("file")
@click.option("--session", "name", metavar="ID", help="Which one, where the file is a database of several.")
@click.option("--base", help="Start from head or a revision instead of your checkout as it is.")
def import_(file: str, name: str | None, base: str | None) -> int:
    """Take over a session of Claude Code, Codex or Goose: their .jsonl files, an export, or sessions.db. The file is only
    read. What could not be carried over is said."""
    from goose_py.actions.sessions.imports import import_session

    return import_session(file, name, base)
