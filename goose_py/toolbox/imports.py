"""Imports of packages that import each other: by one thread at a time, whichever asks."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_IMPORTING = threading.RLock()


def imported(work: Callable[[], T]) -> T:
    """What `work` returns, which imports. Two threads that are each within a package which the other one needs would wait for
    each other for ever; Python breaks that by failing one of the imports."""
    with _IMPORTING:
        return work()
