"""`goose-py models`: who could answer."""

import click


@click.group()
def models() -> None:
    """Providers and models, from the bundled catalogue; `probe` asks an endpoint."""


@models.command("list")
@click.argument("provider", required=False)
def list_(provider: str | None) -> int:
    """List providers, or the known models of one."""
    from goose_py.actions.models.listing import print_models

    return print_models(provider)


@models.command()
@click.argument("name")
def show(name: str) -> int:
    """Show what is known of a model: PROVIDER/MODEL."""
    from goose_py.actions.models.listing import print_model

    return print_model(name)


@models.command()
@click.argument("provider", required=False)
def probe(provider: str | None) -> int:
    """Ask a provider's endpoint which models it has."""
    from goose_py.actions.models.listing import probe_models

    return probe_models(provider)
