"""Whether a failing schedule is an error, as in edgec's own tests, or leads to slower code and a note of it.

The environment decides, because tests and measurements start processes of their own.
"""

from __future__ import annotations

import os

VARIABLE = "EDGEC_STRICT"


def is_strict() -> bool:
    """Return whether `EDGEC_STRICT` is 1: if a schedule then fails on an operator that it took, its error is raised."""
    return os.environ.get(VARIABLE) == "1"
