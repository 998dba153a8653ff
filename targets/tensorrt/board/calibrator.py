"""The calibrator of int8 without Q/DQ: scales from a file."""

from typing import Any, List

import tensorrt as trt


class CacheOnly(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]  # untyped where TensorRT is absent
    """Gives TensorRT the scales of a calibration cache, and no pictures; `refused` if it asks for some."""

    def __init__(self, cache: bytes) -> None:
        trt.IInt8EntropyCalibrator2.__init__(self)  # without it TensorRT crashes
        self._cache = cache
        self.refused = False

    def get_batch_size(self) -> int:
        """Return the batch size of pictures, of which there are none."""
        return 1

    def get_batch(self, names: List[str]) -> Any:  # None, which the published types do not allow
        """Return no picture: that one is asked for means that the cache was not taken."""
        self.refused = True
        return None

    def read_calibration_cache(self) -> bytes:
        """Return the cache."""
        return self._cache

    def write_calibration_cache(self, cache: bytes) -> None:
        """Do nothing: it is the one that was read."""
