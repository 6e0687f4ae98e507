"""Where it is kept what of other people's configuration may count."""

from goose_py.bootstrap.host import Host
from goose_py.permissions.trust import TrustStore


def trust_store(host: Host) -> TrustStore:
    return TrustStore(host.paths.state / "trust.jsonl", host.now)
