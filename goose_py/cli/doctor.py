"""`goose-py doctor`: what works here."""

import click


@click.command()
@click.argument("what", required=False, type=click.Choice(["model"]))
@click.option("--provider", help="Provider to ask.")
@click.option("--model", help="Model to ask.")
def doctor(what: str | None, provider: str | None, model: str | None) -> int:
    """Say what works here and what does not: git, the sandbox, the keyring, the model. Contacts nobody but, with `model`, the
    model's endpoint."""
    from goose_py.bootstrap.doctor import check_machine, check_model

    return check_model(provider, model) if what == "model" else check_machine()
