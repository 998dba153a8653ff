"""What the completion of a shell offers as the value of an option: names of boards, precisions, metrics and so on."""

from __future__ import annotations

from typing import get_args

from edgec.registry import names


def boards(incomplete: str) -> list[str]:
    """Return the names of boards that start with `incomplete`."""
    from edgec.targets.board import board_names

    return _starting(board_names(), incomplete)


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


def _starting(known: list[str], incomplete: str) -> list[str]:
    return [name for name in known if name.startswith(incomplete)]
