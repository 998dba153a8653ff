"""What the completion of a shell offers as the value of an option: names of boards, precisions, metrics and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from edgec.registry import names


def boards(incomplete: str) -> list[str]:
    """Return the names of boards that start with `incomplete`."""
    from edgec.targets.board import board_names

    return _starting(board_names(), incomplete)


def several_boards(incomplete: str) -> list[str]:
    """Return lists of boards, separated by commas, whose last one starts as that of `incomplete` does."""
    return _last(incomplete, boards)


def several_precisions(incomplete: str) -> list[str]:
    """Return lists of precisions, separated by commas, whose last one starts as that of `incomplete` does."""
    return _last(incomplete, precisions)


def precisions(incomplete: str) -> list[str]:
    """Return the precisions that start with `incomplete`."""
    from edgec.options import Precision

    return _starting(list(get_args(Precision)), incomplete)


def metrics(incomplete: str) -> list[str]:
    """Return the names of metrics that start with `incomplete`."""
    return _starting(names("metrics"), incomplete)


def criteria(incomplete: str) -> list[str]:
    """Return the names of pruning criteria that start with `incomplete`."""
    return _starting(names("criteria"), incomplete)


def calibrators(incomplete: str) -> list[str]:
    """Return the names of calibrators that start with `incomplete`."""
    return _starting(names("calibrators"), incomplete)


def _last(incomplete: str, offer: Callable[[str], list[str]]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    chosen = before.split(",")
    return [f"{before}{comma}{name}" for name in offer(last) if name not in chosen]


def _starting(known: list[str], incomplete: str) -> list[str]:
    return [name for name in known if name.startswith(incomplete)]
