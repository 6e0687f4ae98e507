"""`goose-py configure`: a provider, a model and a key, asked for or given as flags."""

import click


@click.command()
@click.option("--provider", help="Provider that answers.")
@click.option("--model", help="Model that answers.")
@click.option("--base-url", help="Address of a server of your own.")
@click.option("--protocol", type=click.Choice(["anthropic", "responses", "chat", "ollama"]), help="What that server speaks.")
@click.option("--key-stdin", is_flag=True, help="Read the API key from standard input.")
@click.option("--from-goose", metavar="FILE", help="Take over the settings of a Goose config.yaml.")
def configure(
    provider: str | None,
    model: str | None,
    base_url: str | None,
    protocol: str | None,
    key_stdin: bool,
    from_goose: str | None,
) -> int:
    """Choose who answers, and store the key in the keyring (or in a file that only you can read where none works)."""
    from goose_py.bootstrap.configure import Wanted, configure_provider, take_over

    if from_goose is not None:
        return take_over(from_goose)
    return configure_provider(Wanted(provider, model, base_url, protocol, key_stdin))
