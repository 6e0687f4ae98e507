"""The event loop of processes that start many children."""

import asyncio
import os
import sys
import warnings
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, with children awaited through descriptors. Python 3.11 starts a thread for each child instead and waits
    until that thread has begun to run, 2 ms a child on a busy machine; later versions do this by themselves."""
    if sys.version_info < (3, 12) and _has_descriptors():
        # Children that live on when the loop ends (a task's worker) are no mistake.
        warnings.filterwarnings("ignore", "A loop is being detached", RuntimeWarning)
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    return asyncio.run(main)


def _has_descriptors() -> bool:
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True
