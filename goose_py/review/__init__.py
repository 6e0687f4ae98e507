"""What a person decides about a changeset, and how exactly that, and nothing else, reaches their repository.

Verdicts are a pure fold of decisions over a changeset. The approved bytes are a tree of their own; applying is bound to it.
"""
