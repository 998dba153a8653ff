"""Whether a schedule that fails is an error, as in edgec's own tests, or leaves slower code and a line that says so.

The environment decides, because tests and measurements start processes of their own.
"""

from __future__ import annotations

import os

VARIABLE = "EDGEC_STRICT"


def is_strict() -> bool:
    """Whether `EDGEC_STRICT` is 1: a schedule that took an operator and fails raises its error."""
    return os.environ.get(VARIABLE) == "1"
