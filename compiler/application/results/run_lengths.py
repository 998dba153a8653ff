"""Masks as run lengths, in the uncompressed form of COCO's annotations."""

from __future__ import annotations

from typing import Any

import numpy as np


def run_lengths(mask: np.ndarray[Any, Any]) -> dict[str, list[int]]:
    """Return a bool mask [height, width] as COCO's `size` and `counts`.

    The counts are lengths of runs along the columns, from left to right; the first one, which may be 0, counts pixels
    outside the mask.
    """
    flat = mask.ravel(order="F").astype(np.int8)
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes.tolist(), flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat.size and flat[0] else counts}
