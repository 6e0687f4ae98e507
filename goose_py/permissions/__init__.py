"""Who is asked before a tool call runs. Pure but for two small stores: every fact about the machine is handed in.

`decide.decide` judges one call. `rules.parse_rule` and `grants.rules_of` make the rules it takes, `decision.Place` the facts.
`trust.TrustStore` and `grants.GrantStore` keep what people answered.
"""
