"""`Workers`: who does the work: this process, others on this machine, or a cluster."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass

PARTS_A_PROCESS = 2
"""Parts that the work is cut in for each process: more would even out the load, but each part has a cost of its own."""


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    Attributes:
        processes: Their number; None: one a processor; 0: all is done in this process.
        scheduler: Address of a Dask scheduler that shares out the work instead (`tcp://...`).
    """

    processes: int | None = None
    scheduler: str | None = None

    @property
    def count(self) -> int:
        """Number of processes on this machine."""
        return (os.cpu_count() or 1) if self.processes is None else self.processes

    @property
    def threads(self) -> int | None:
        """Threads that each part of the work may use; None: as many as there are."""
        return 1 if self.count else None

    def parts(self, items: int) -> int:
        """Return the number of parts to cut `items` independent pieces of work in."""
        if self.scheduler is not None:
            return items
        return min(items, max(self.count * PARTS_A_PROCESS, 1))


ONE_A_PROCESSOR = Workers()


def why_not_sent(thing: object) -> str | None:
    """Return why `thing` cannot be handed to another process, None if it can."""
    try:
        pickle.dumps(thing)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return str(error)
    return None
