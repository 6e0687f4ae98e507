"""Trust in a repository's own files: asked for by a command, kept outside everything that an agent can write."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from goose_py.actions.confirmation import confirmed
from goose_py.bootstrap.check_trust import as_proposal, nearest_checks, shown
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.repository import accept, open_doubts, withdraw
from goose_py.bootstrap.settings import PROJECT_FILE, project_root
from goose_py.bootstrap.trust_store import trust_store
from goose_py.config.load import Loaded, load
from goose_py.git.errors import GitError
from goose_py.permissions.trust import TrustStore, identify
from goose_py.protocol.safe_text import safe_line, safe_text
from goose_py.tasks.found_checks import FoundCheck

USE = "Use this repository all the same?"
QUESTION = "Trust this configuration, and let exactly these run?"
UNATTENDED = "There is nobody to ask here: look at it, then say `goose-py trust --yes`."


def show_trust(*, approve: bool, revoke: bool) -> int:
    """Prints why the repository is not simply used, where that is so, and what its own configuration is and wants to run;
    trusts it, or takes the trust back."""
    host = Host.here()
    store = trust_store(host)
    root = project_root(host.cwd)
    folder = identify(root)
    if revoke:
        store.distrust(folder)
        withdraw(store, root)
        print(f"{safe_line(str(root))} is not trusted any more: nothing of its own configuration counts.")
        return 0
    vouched = _vouch(host, store, approve=approve)
    if vouched is False:
        print("Nothing was changed.")
        return 0
    loaded = _as_if_trusted(host, root, store)
    configured = "checks" in loaded.origins() or any(wanted.key == "checks" for wanted in loaded.executables)
    found = () if configured else nearest_checks(host, host.cwd.resolve(), root)
    if not found and not (root / PROJECT_FILE).is_file():
        more = "nothing else" if vouched else "nothing"
        print(f"{safe_line(str(root))} has no configuration of its own ({PROJECT_FILE}): there is {more} to trust.")
        return 0
    if found:
        checks = as_proposal(found)
        pending = () if checks.sha256 in store.approved(folder) else (checks,)
        loaded = msgspec.structs.replace(
            loaded, executables=(*loaded.executables, checks), pending=(*loaded.pending, *pending)
        )
    _print(loaded, store, root, found)
    if store.trusts(folder) and not loaded.pending:
        print("It is trusted, and nothing in it waits for an approval.")
        return 0
    if not approve and not confirmed(host, QUESTION, unattended=UNATTENDED):
        print("Nothing was changed.")
        return 0
    store.trust(folder)
    for proposal in loaded.pending:
        store.approve(folder, proposal.key, proposal.content)
    print(f"{safe_line(str(root))} is trusted, with exactly what is shown above. A change of it is asked about again.")
    return 0


def _vouch(host: Host, store: TrustStore, *, approve: bool) -> bool | None:
    """Whether the user vouches for a repository that is not simply used; None where there is nothing to ask."""
    try:
        doubts = asyncio.run(open_doubts(host, host.cwd))
    except GitError:
        return None  # whoever works there is told
    for doubt in doubts:
        print(safe_line(f"{doubt.reason}."))
    if not doubts:
        return None
    if not approve and not confirmed(host, USE, unattended=UNATTENDED):
        return False
    for doubt in doubts:
        accept(store, doubt)
    print("It is used from now on.")
    return True


def _as_if_trusted(host: Host, root: Path, store: TrustStore) -> Loaded:
    return load(
        user=host.paths.config_file,
        project=root / PROJECT_FILE,
        trusted=True,
        approved=store.approved(identify(root)),
        env=host.env,
    )


def _print(loaded: Loaded, store: TrustStore, root: Path, found: Sequence[FoundCheck]) -> None:
    folder = identify(root)
    print(safe_line(str(root / PROJECT_FILE if (root / PROJECT_FILE).is_file() else root)))
    if found:
        print(safe_text(f"  No check is configured. Found here: {shown(found)}."))
    for proposal in loaded.executables:
        question = store.question(folder, proposal.key, proposal.content)
        state = "approved" if question.approved else "changed since you approved it" if question.changed else "new"
        print(safe_text(f"  runs   {proposal.key}: {proposal.summary}  ({state})"))
        for line in question.changed.splitlines():
            print(safe_text(f"         {line}"))
    pending = {proposal.key for proposal in loaded.pending}
    for ignored in loaded.ignored:
        if ignored.key not in pending:
            print(safe_text(f"  not    {ignored.key}: {ignored.reason}"))
    for warning in loaded.warnings:
        print(safe_text(f"  !      {warning}"))
