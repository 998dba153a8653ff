"""Values inside a compiled network: where they can be read while it runs, and the callback that reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tap:
    """Where a value of the network can be read while it runs: the output of one call of one function.

    Attributes:
        value: Its name in the ONNX model that was lowered.
        function: Name of the function.
        call: Number of the call among those of the function, from 0.
        shape: As in the ONNX model.
        block: Channels per block if the value is in packed layout, [N, C/block, H, W, block]; else 0.
        shift: Number that was added to integers.
    """

    value: str
    function: str
    call: int
    shape: tuple[int, ...]
    block: int
    shift: int

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Tap:
        """Return the tap that `entry` describes: JSON of its `dataclasses.asdict`."""
        return cls(**{**entry, "shape": tuple(entry["shape"])})

    def read(self, array: Array) -> Array:
        """Return the value as in the ONNX model: fp16 becomes fp32, integers become int32 without the shift."""
        if self.block:
            batch, channels, *pixels = self.shape
            array = np.moveaxis(array, 4, 2).reshape(batch, -1, *pixels)[:, :channels]
        array = array.reshape(self.shape)
        if array.dtype.kind in "iu":
            return array.astype(np.int32) - self.shift
        return array.astype(np.float32) if array.dtype == np.float16 else array.copy()


class Watch:
    """Called by TVM's executor before and after each call of a function; keeps the values of `taps`."""

    def __init__(self, taps: Iterable[Tap]) -> None:
        self._taps = {(tap.function, tap.call): tap for tap in taps}
        self._calls: Counter[str] = Counter()
        self.values: dict[str, Array] = {}

    def __call__(self, _function: Any, symbol: str, before: bool, _result: Any, *arguments: Any) -> int:
        """Read the output, the last argument, of a call that has a tap; return 0, so that the executor continues."""
        if not before:
            tap = self._taps.get((symbol, self._calls[symbol]))
            self._calls[symbol] += 1
            if tap is not None:
                self.values[tap.value] = tap.read(arguments[-1].numpy())
        return 0
