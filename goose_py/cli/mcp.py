"""`goose-py mcp`: a bundled extension as a server of its own."""

import click


@click.command()
@click.argument("name")
@click.option("--workspace", metavar="FOLDER", help="Folder that it is bound to; the current one by default.")
def mcp(name: str, workspace: str | None) -> int:
    """Serve a bundled extension over stdio to any MCP client, e.g. `goose-py mcp developer`."""
    from goose_py.actions.extensions.serve import serve_extension

    return serve_extension(name, workspace)
