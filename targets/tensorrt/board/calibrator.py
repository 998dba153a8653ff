"""The calibrator for int8 without Q/DQ pairs: it reads scales from a file."""

from typing import Any, List

import tensorrt as trt


class CacheOnly(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]  # untyped where TensorRT is absent
    """Gives TensorRT the scales of a calibration cache, but no pictures; `refused` is set if it asks for some."""

    def __init__(self, cache: bytes) -> None:
        trt.IInt8EntropyCalibrator2.__init__(self)  # TensorRT crashes without this call
        self._cache = cache
        self.refused = False

    def get_batch_size(self) -> int:
        """Return a batch size for pictures, although there are none."""
        return 1

    def get_batch(self, names: List[str]) -> Any:  # None, which the published types do not allow
        """Return no picture; that TensorRT asks for one means that it rejected the cache."""
        self.refused = True
        return None

    def read_calibration_cache(self) -> bytes:
        """Return the cache."""
        return self._cache

    def write_calibration_cache(self, cache: bytes) -> None:
        """Do nothing, because the cache is the one that was read."""
