"""Measures each layer of the engine by TensorRT's profiler."""

from typing import Any, Dict, List

import numpy as np
import tensorrt as trt

from .session import Session


class LayerTimes(trt.IProfiler):  # type: ignore[misc]  # no types without TensorRT
    """Takes in what TensorRT reports after each inference; `times` holds ms by layer, in the engine's order."""

    def __init__(self) -> None:
        trt.IProfiler.__init__(self)
        self.times: Dict[str, List[float]] = {}

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        """Take in the time of one layer in one inference."""
        self.times.setdefault(layer_name, []).append(ms)


def measure_layers(session: Session, runs: int) -> List[Dict[str, Any]]:
    """Return the median time in ms of each layer over `runs` inferences.

    Measure everything else before: with a profiler, TensorRT waits for the GPU after each inference.
    """
    profiler = LayerTimes()
    session.set_profiler(profiler)
    for _ in range(runs):
        session.execute()
    return [{"name": name, "ms": float(np.median(times))} for name, times in profiler.times.items()]
