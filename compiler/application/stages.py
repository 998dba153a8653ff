"""`Stages`: how long each step from a picture to its result took, over many pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

STAGES = ("read", "preprocess", "network", "decode")
"""The steps, in their order: the file's pixels, the network's input, its outputs, what they mean."""


class Stages:
    """Durations of the stages of each picture, in seconds."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def add(self, seconds: Mapping[str, float]) -> None:
        """Take in those of one picture."""
        self._rows.append(dict(seconds))

    def __len__(self) -> int:
        return len(self._rows)

    def summary(self) -> dict[str, Any]:
        """Return the number of pictures, pictures per second, and ms of each stage and of all: median, p90, p99.

        Pictures per second are those that the stages together would allow, one picture after the other.
        """
        columns = {stage: [row[stage] for row in self._rows] for stage in STAGES}
        columns["all"] = [sum(row.values()) for row in self._rows]
        total = sum(columns["all"])
        milliseconds = {stage: _quantiles(seconds) for stage, seconds in columns.items()}
        rate = len(self) / total if total else 0.0
        return {"pictures": len(self), "per_second": round(rate, 3), "ms": milliseconds}

    def __str__(self) -> str:
        said = self.summary()
        rows = [f"{stage:<10} {'':1}" + "  ".join(f"{v:8.2f}" for v in q.values()) for stage, q in said["ms"].items()]
        head = f"{'ms':<10} {'':1}" + "  ".join(f"{name:>8}" for name in QUANTILES)
        return "\n".join([head, *rows, f"{said['pictures']} pictures, {said['per_second']:.1f} per second"])


QUANTILES = {"median": 50, "p90": 90, "p99": 99}


def _quantiles(seconds: list[float]) -> dict[str, float]:
    """Return percentiles in ms: the smallest value that this share of all values does not exceed."""
    if not seconds:
        return dict.fromkeys(QUANTILES, 0.0)
    values = np.percentile(1e3 * np.array(seconds), list(QUANTILES.values()), method="inverted_cdf")
    return {name: round(float(value), 4) for name, value in zip(QUANTILES, values, strict=True)}
