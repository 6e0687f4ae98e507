"""`goose-py trust`: a repository's own configuration, and whether it counts."""

import click


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--revoke", is_flag=True, help="Take the trust and every approval back.")
def trust(yes: bool, revoke: bool) -> int:
    """Show what this repository's own configuration wants, and trust exactly that. Untrusted, nothing of it counts. Where no
    check is configured, its test command is found and shown, and runs after every task once it is trusted."""
    from goose_py.bootstrap.trust import show_trust

    return show_trust(approve=yes, revoke=revoke)
