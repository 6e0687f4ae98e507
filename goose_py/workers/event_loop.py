"""The event loop of processes that carry tasks: it starts many children, and a signal brings it to an orderly end."""

import asyncio
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
TURN_PATIENCE = 0.5
"""Seconds that a turn has to end by itself once its process was asked to. After that its end is recorded all the same."""
PATIENCE = 1.0
"""Seconds after which a process that was asked to end is gone, whatever it waits for. The log has its end by then, and what is
left of a closing is done by whoever opens the task next."""


class Ending:
    """Whether the process was asked to end. `timeout`, a terminal that is closed and an impatient person send several signals
    within a millisecond: the first one counts, and the others change nothing, since its end comes within `PATIENCE`."""

    def __init__(self) -> None:
        self.asked = False
        self.code = INTERRUPTED
        self._main: asyncio.Task[Any] | None = None

    def watch(self) -> None:
        """Signals cancel the current task from here on. A hangup that was ignored at the start (nohup(1)) stays ignored."""
        self._main = asyncio.current_task()
        for number in ENDING:
            if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
                asyncio.get_running_loop().add_signal_handler(number, self._ask)

    def taken(self) -> None:
        """For whoever caught the cancellation of a signal and goes on to an end of its own. Any other one is raised again."""
        if not self.asked:
            raise
        if self._main is not None:
            self._main.uncancel()

    def _ask(self) -> None:
        if self.asked or self._main is None:
            return
        self.asked = True
        # A thread: the loop itself may be what is stuck.
        last = threading.Timer(PATIENCE, lambda: os._exit(self.code))
        last.daemon = True
        last.start()
        self._main.cancel()


def run(main: Callable[[Ending], Coroutine[Any, Any, T]]) -> T:
    """`asyncio.run`, with signals that end as `Ending` says, and children awaited through descriptors: Python 3.11 starts a
    thread for each child instead and waits until that thread has begun to run, 2 ms a child on a busy machine; later versions
    do this by themselves. Raises KeyboardInterrupt where a signal ended it before `main` had an end of its own."""
    if sys.version_info < (3, 12) and _has_descriptors():
        # Children that live on when the loop ends (a task's worker) are no mistake.
        warnings.filterwarnings("ignore", "A loop is being detached", RuntimeWarning)
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    ending = Ending()

    async def watched() -> T:
        ending.watch()
        return await main(ending)

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if ending.asked:
            raise KeyboardInterrupt from None
        raise


def _has_descriptors() -> bool:
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True
