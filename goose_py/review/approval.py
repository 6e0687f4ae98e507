"""What exactly was approved. Pure values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Approval:
    """`tree` is the selection from the changeset `base_tree`..`result_tree`; all are full object ids. Whoever applies it
    applies this content or nothing."""

    base_tree: str
    result_tree: str
    tree: str

    @property
    def content_hash(self) -> str:
        """One value for the event log that names all three."""
        joined = "\0".join((self.base_tree, self.result_tree, self.tree))
        return hashlib.sha256(joined.encode()).hexdigest()

    @property
    def empty(self) -> bool:
        """Nothing was kept."""
        return self.tree == self.base_tree
