"""A recipe in words, before it is run."""

from goose_py.recipes.explain import explain_text
from goose_py.recipes.load import parse

TEXT = b"""\
title: Deploy
description: Brings it out.
prompt: "{{ where }} {{ how }} {{ notes }}"
settings: {goose_model: big, effort: high}
mode: ask
parameters:
  - {key: where, input_type: select, requirement: required, description: The place, options: [test, live]}
  - {key: how, input_type: string, requirement: optional, default: slowly, description: The way}
  - {key: notes, input_type: file, requirement: user_prompt, description: What is new}
extensions: [{type: builtin, name: developer}, {type: stdio, name: k8s, cmd: npx, args: [k8s]}]
checks: ["curl {{ where }}"]
retry: {max_retries: 1, checks: [{type: shell, command: test -f ok}]}
limits: {max_cost: 2}
env: [GH_TOKEN]
response: {json_schema: {type: object}}
sub_recipes: [{name: a, path: a.yaml}]
"""

EXPLAINED = """\
Deploy
Brings it out.

From deploy.yaml

Parameters:
  where (select, required) one of test, live = live
      The place
  how (string, optional) (default: slowly)
      The way
  notes (file, user_prompt)
      What is new

Still missing: --params notes=your_value

Not parameters of this recipe, and ignored: wehre

Model: big, high

Mode: ask

Extensions: developer (builtin), k8s (npx k8s)

Sub-recipes: a (a.yaml)

Checks: curl {{ where }}

Retried until: test -f ok

Limits: max_cost 2.0

Needs of your variables: GH_TOKEN

Answers with: JSON of its own schema"""


def test_an_explanation_says_what_it_takes_what_is_missing_and_what_it_brings_along() -> None:
    recipe = parse(TEXT, where="deploy.yaml", folder=None)
    assert explain_text(recipe, {"where": "live", "wehre": "x"}) == EXPLAINED


def test_a_plain_recipe_has_a_short_explanation_with_its_warnings() -> None:
    recipe = parse(b"title: t\ndescription: ''\nprompt: p\nfoo: 1\n", where="r.yaml", folder=None)
    assert explain_text(recipe, {}) == "t\n\nFrom r.yaml\n\nr.yaml:4: unknown field `foo`; it is ignored."
