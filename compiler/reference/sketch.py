"""Sketches of values inside a network: a few elements of every channel, so few that they can be stored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ELEMENTS = 1024
"""Number of elements of a sketch, unless the channels require more."""
EACH = 2
"""Minimum number of elements per channel, so that one wrong channel shows."""
PICTURE_RANK = 3
"""Minimum number of axes for which the second one holds channels; below, the last one holds features."""
MOST_VALUES = 96
MOST_ELEMENTS = 1 << 26
"""Maximum size in bytes of all sketched values together, in full."""


def sketch(array: Array) -> Array:
    """Return some elements of `array`, at the same positions for every array of its shape, as float32 [n].

    The positions come from the raw output of the Philox generator, which numpy promises never to change.
    """
    return array.reshape(-1)[_places(array.shape)].astype(np.float32)


def sketches(arrays: Mapping[str, Array], names: Iterable[str]) -> dict[str, Array]:
    """Return the sketches of the arrays with these names."""
    return {name: sketch(arrays[name]) for name in names if name in arrays}


def chosen(shapes: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Return the values to sketch: all, or as many as fit, evenly spread, in their order."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    names = [name for name, size in sizes.items() if 0 < size <= MOST_ELEMENTS // 4]
    count = min(MOST_VALUES, len(names))
    while count > 1 and sum(sizes[name] for name in _spread(names, count)) > MOST_ELEMENTS:
        count -= 1
    return tuple(_spread(names, count))


def _spread(names: Sequence[str], count: int) -> Iterable[str]:
    return (names[index * len(names) // count] for index in range(count))


def _places(shape: tuple[int, ...]) -> Array:
    """Return flat indices: at least `EACH` per channel, and all indices of small arrays."""
    size = math.prod(shape)
    if size <= ELEMENTS:
        return np.arange(size)
    axis = 1 if len(shape) >= PICTURE_RANK else len(shape) - 1
    channels = shape[axis]
    each = max(EACH, ELEMENTS // channels)
    others, inner = size // channels, math.prod(shape[axis + 1 :])
    drawn = np.random.Philox(key=size).random_raw(channels * each).reshape(channels, each) % np.uint64(others)
    before, behind = np.divmod(drawn.astype(np.int64), inner)
    return np.asarray((before * channels + np.arange(channels)[:, None]) * inner + behind).reshape(-1)
