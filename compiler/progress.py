"""`Progress`: the stage of a long call, as its listener and the log of `edgec` receive it."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("edgec")


class Progress(str):
    """A stage as text, `calibrate` or `calibrate 3/12`.

    Attributes:
        stage: Name of the stage, without numbers.
        done: Number of parts that are done.
        total: Number of all parts; 0 if they are not counted.
    """

    stage: str
    done: int
    total: int

    def __new__(cls, stage: str, done: int = 0, total: int = 0) -> Progress:
        """Make a progress value; it compares and prints as its text."""
        made = super().__new__(cls, " ".join([stage, *([f"{done}/{total}"] if total else [str(done)] if done else [])]))
        made.stage, made.done, made.total = stage, done, total
        return made


Listener = Callable[[Progress], None]


class Reporter:
    """Tells a listener, and the log, which stage is running.

    Args:
        listener: Called when a stage begins and when a part of it is done; None: nobody listens.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener or (lambda progress: None)

    def stage(self, name: str) -> None:
        """Report that a stage begins."""
        logger.info(name)
        self._listener(Progress(name))

    def counter(self, name: str) -> Callable[[int, int], None]:
        """Return a function to call with the number of finished parts of a stage and the number of all parts."""
        return lambda done, total: self._listener(Progress(name, done, total))
