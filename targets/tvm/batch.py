"""Varying batch size: the network is compiled for one item, and runs once per item of the batch.

On a CPU a batch gains little: layers are as fast for one picture as for many, and the activations of one stay in cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import BadOption
from edgec.model.signature import TensorSpec, inputs_of, outputs_of
from edgec.targets.base import Closing, Inspectable, Runner
from edgec.targets.kernel_times import KernelTimes, Profiled

Array = np.ndarray[Any, Any]


def check_batch(model: ir.Model, batch: tuple[int, int]) -> int:
    """Return the largest batch size of the range `batch`, which every input and output of `model` must support.

    Raises:
        BadOption: The range does not begin at 1, or an input or output has no dimension for the batch.
    """
    low, high = batch
    if low != 1:
        problem = f"a batch of {low}..{high} is not supported: on CPU boards the smallest batch is 1"
        raise BadOption(problem, remedy=f"Give 1..{high}.")
    for kind, specs in (("input", inputs_of(model)), ("output", outputs_of(model))):
        for spec in specs:
            if not spec.shape or spec.shape[0] != 1:
                problem = f"{kind} {spec} cannot have a batch of 1..{high}: its first dimension is not 1"
                raise BadOption(problem, remedy="Give one size for the batch, or export the network with a batch.")
    return high


class BatchRunner(Closing):
    """Runs another runner, compiled for a batch of one, once per item; inputs may contain up to `largest` items."""

    def __init__(self, single: Runner, largest: int) -> None:
        self._single, self._largest = single, largest

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs in the model's order, for a batch of one."""
        return self._single.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs in the model's order, for a batch of one."""
        return self._single.outputs

    @property
    def description(self) -> str:
        """Where the code runs."""
        return self._single.description

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference of a batch.

        Raises:
            BadOption: The inputs' batches differ, or exceed the range.
        """
        results = [self._single.run(item) for item in self._items(feeds)]
        return {name: np.concatenate([result[name] for result in results]) for name in results[0]}

    def inspect(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return inner values of the network for the first item, if the other runner supports this."""
        return self._single.inspect(self._items(feeds)[0]) if isinstance(self._single, Inspectable) else {}

    def bench(self, feeds: Mapping[str, Array], *, warmup: int, runs: int) -> list[float]:
        """Return the time in seconds of each of `runs` inferences of the whole batch."""
        measured = [self._single.bench(item, warmup=warmup, runs=runs) for item in self._items(feeds)]
        return [sum(times) for times in zip(*measured, strict=True)]

    def profile(self, feeds: Mapping[str, Array], *, warmup: int, runs: int, trace: Path | None = None) -> KernelTimes:
        """Return the time of each kernel for the first item, see `edgec.targets.base.Profiled`."""
        assert isinstance(self._single, Profiled)  # all runners of this back end are
        return self._single.profile(self._items(feeds)[0], warmup=warmup, runs=runs, trace=trace)

    def close(self) -> None:
        """Free the resources of the other runner."""
        self._single.close()

    def _items(self, feeds: Mapping[str, Array]) -> list[dict[str, Array]]:
        sizes = {np.shape(array)[0] if np.ndim(array) else 0 for array in feeds.values()}
        count = sizes.pop() if len(sizes) == 1 else 0
        if not 1 <= count <= self._largest:
            shown = ", ".join(f"{name}: {'x'.join(map(str, np.shape(array)))}" for name, array in feeds.items())
            remedy = "Give all inputs the same batch size within this range."
            raise BadOption(f"inputs ({shown}) are not one batch of 1..{self._largest}", remedy=remedy)
        arrays = {name: np.asarray(array) for name, array in feeds.items()}
        return [{name: array[index : index + 1] for name, array in arrays.items()} for index in range(count)]
