"""`goose-py configure`, `doctor`, `trust`, `demo`: what is needed once."""

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
    from goose_py.actions.setup.configure import Wanted, configure_provider, take_over

    if from_goose is not None:
        return take_over(from_goose)
    return configure_provider(Wanted(provider, model, base_url, protocol, key_stdin))


@click.command()
@click.argument("what", required=False, type=click.Choice(["model"]))
@click.option("--provider", help="Provider to ask.")
@click.option("--model", help="Model to ask.")
def doctor(what: str | None, provider: str | None, model: str | None) -> int:
    """Say what works here and what does not: git, the sandbox, the keyring, the model. Contacts nobody but, with `model`, the
    model's endpoint."""
    from goose_py.actions.setup.doctor import check_machine, check_model

    return check_model(provider, model) if what == "model" else check_machine()


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--revoke", is_flag=True, help="Take the trust and every approval back.")
def trust(yes: bool, revoke: bool) -> int:
    """Show what this repository's own configuration wants, and trust exactly that. Untrusted, nothing of it counts. Where no
    check is configured, its test command is found and shown, and runs after every task once it is trusted."""
    from goose_py.actions.setup.trust import show_trust

    return show_trust(approve=yes, revoke=revoke)


@click.command()
@click.option("--yes", is_flag=True, help="Approve and apply without asking.")
@click.option("--folder", metavar="FOLDER", help="Where the small repository is made; a new temporary folder by default.")
@click.option("--sandbox", help="Weakest sandbox to accept: full, partial or none.")
def demo(yes: bool, folder: str | None, sandbox: str | None) -> int:
    """See the whole way: plan, worktree, tools, check, review, apply. The model's replies are scripted, all else is real."""
    from goose_py.actions.setup.demo import run_demo

    return run_demo(yes=yes, folder=folder, sandbox=sandbox)
