"""A command that runs: its processes and its output, ended together."""

from dataclasses import dataclass

from .capture import Pump
from .processes import Family

DRAIN_QUIET = 0.1
"""Seconds without output after which the rest of it is not waited for."""
_END_GRACE = 1.0


@dataclass
class Running:
    """A started command."""

    command: str
    family: Family
    pump: Pump

    async def end(self) -> None:
        """Ends every process of it and takes what output is left. Not to be cancelled."""
        await self.family.end(_END_GRACE)
        await self.pump.drained(DRAIN_QUIET / 2, DRAIN_QUIET)
        self.pump.close()
        self.pump.capture.close()
