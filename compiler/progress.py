"""`Progress`: what a long call is doing, as its listener is told and as the log of `edgec` has it."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("edgec")


class Progress(str):
    """A stage as text, `calibrate` or `calibrate 3/12`.

    Attributes:
        stage: The stage without numbers.
        done: How many of its parts are done.
        total: How many parts there are; 0 where they are not counted.
    """

    stage: str
    done: int
    total: int

    def __new__(cls, stage: str, done: int = 0, total: int = 0) -> Progress:
        """Make it; it compares and prints as its text."""
        made = super().__new__(cls, " ".join([stage, *([f"{done}/{total}"] if total else [str(done)] if done else [])]))
        made.stage, made.done, made.total = stage, done, total
        return made


Listener = Callable[[Progress], None]


class Reporter:
    """Tells a listener, and the log, what is being done.

    Args:
        listener: Called with each stage as it begins and with each part that is done; None: nobody listens.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener or (lambda progress: None)

    def stage(self, name: str) -> None:
        """Say that a stage begins."""
        logger.info(name)
        self._listener(Progress(name))

    def counter(self, name: str) -> Callable[[int, int], None]:
        """Return what is to be called with the number of parts of a stage that are done, and of all."""
        return lambda done, total: self._listener(Progress(name, done, total))
