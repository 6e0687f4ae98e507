"""Who is asked before a tool call runs. Pure but for two small stores: every fact about the machine is handed in.

`decide.decide` judges one call. `rules.parse_rule` and `grants.rules_of` make the rules it takes, `decision.Place` the facts.
`trust.TrustStore` and `grants.GrantStore` keep what people answered.
"""

from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Decision, Part, Place, SandboxLevel, Verdict
from goose_py.permissions.grants import Grant, GrantStore, rules_of
from goose_py.permissions.patterns import Pattern, parse_pattern
from goose_py.permissions.rules import Rule, parse_rule
from goose_py.permissions.trust import Folder, Question, TrustStore, fingerprint, identify

__all__ = [
    "Decision", "Folder", "Grant", "GrantStore", "Part", "Pattern", "Place", "Question", "Rule", "SandboxLevel", "TrustStore",
    "Verdict", "decide", "fingerprint", "identify", "parse_pattern", "parse_rule", "rules_of",
]  # fmt: skip
