"""`Workers`: where work is done: in this process, in others on this machine, or on a cluster."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass

PARTS_A_PROCESS = 2
"""Number of parts of the work per process: more would balance the load, but each part has a fixed cost."""


@dataclass(frozen=True)
class Workers:
    """Where work is done.

    Attributes:
        processes: Number of processes; None: one per processor; 0: all work is done in this process.
        scheduler: Address of a Dask scheduler (`tcp://...`) that distributes the work instead.
    """

    processes: int | None = None
    scheduler: str | None = None

    @property
    def count(self) -> int:
        """Number of processes on this machine."""
        return (os.cpu_count() or 1) if self.processes is None else self.processes

    @property
    def threads(self) -> int | None:
        """Number of threads that each part of the work may use; None: no limit."""
        return 1 if self.count else None

    def parts(self, items: int) -> int:
        """Return the number of parts into which `items` independent pieces of work are divided."""
        if self.scheduler is not None:
            return items
        return min(items, max(self.count * PARTS_A_PROCESS, 1))


ONE_A_PROCESSOR = Workers()


def why_not_sent(thing: object) -> str | None:
    """Return the reason why `thing` cannot be sent to another process, or None if it can."""
    try:
        pickle.dumps(thing)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return str(error)
    return None
