"""Maps the classes of the data to those of the network, which may be numbered differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgec.errors import BadOption
from edgec.registry import suggest


def network_classes(data: Sequence[str], network: Sequence[str]) -> np.ndarray[Any, Any] | None:
    """Return, for each class of the data, its number in the network, int64; None if the numbers are the same.

    Classes are matched by name if both have names; otherwise the numbers are taken to be the same.

    Raises:
        BadOption: The data has a class name that the network does not have.
    """
    if not data or not network or tuple(data) == tuple(network):
        return None
    for name in data:
        if name not in network:
            raise BadOption(
                f"the data has a class {name!r} that the network does not have", remedy=suggest(name, network)
            )
    return np.array([list(network).index(name) for name in data], np.int64)
