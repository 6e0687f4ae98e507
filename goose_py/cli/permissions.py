"""`goose-py permissions`: what was granted, and what the rules say of a command."""

import click


@click.group()
def permissions() -> None:
    """Grants and rules. The strictest rule wins; the sandbox stays in force whatever is granted."""


@permissions.command("list")
def list_() -> int:
    """List what you allowed for longer than once."""
    from goose_py.bootstrap.host import Host
    from goose_py.bootstrap.permissions import grant_store
    from goose_py.protocol.safe_text import safe_text

    grants = grant_store(Host.here()).standing()
    for grant in grants:
        print(safe_text(f"{grant.id}  {grant.describe()}"))
    if not grants:
        print("Nothing is granted for longer than once.")
    return 0


@permissions.command()
@click.argument("grant")
def revoke(grant: str) -> int:
    """Take a grant back, by its id or its exact pattern."""
    from goose_py.bootstrap.host import Host
    from goose_py.bootstrap.permissions import grant_store
    from goose_py.protocol.safe_text import safe_text

    for taken in grant_store(Host.here()).revoke(grant):
        print(safe_text(f"revoked: {taken.describe()}"))
    return 0


@permissions.command()
@click.argument("command")
@click.option("--mode", default="ask", show_default=True, help="plan, ask, auto or chat.")
def test(command: str, mode: str) -> int:
    """Say what would happen to a shell command here, part by part, without running it."""
    from goose_py.bootstrap.permissions import explain_command

    return explain_command(command, mode)
