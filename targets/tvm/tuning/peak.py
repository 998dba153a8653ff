"""The peak performance of a board: pointwise convolutions on cached data, measured like all other networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax

from edgec.targets.tvm.cpu_model import CpuModel

CHANNELS, ROWS, COLUMNS = 64, 24, 24
"""Size of the convolutions; the rows are per core."""
REPEATED = 8
"""Number of convolutions, each of which reads the one before."""


def peak_network(cpu: CpuModel) -> tuple[tvm.IRModule, int, np.ndarray[Any, Any]]:
    """Return a network of convolutions for `cpu`, their multiply-accumulates, and its input."""
    weights = relax.const(np.full((CHANNELS, CHANNELS, 1, 1), 1 / CHANNELS, np.float32))
    shape = (1, CHANNELS, ROWS * cpu.cores, COLUMNS)
    builder = relax.BlockBuilder()
    source = relax.Var("x", relax.TensorType(list(shape), "float32"))
    with builder.function("main", [source]):
        with builder.dataflow():
            value = source
            for _ in range(REPEATED):
                value = builder.emit(relax.op.nn.conv2d(value, weights))
            result = builder.emit_output(value)
        builder.emit_func_output(result)
    macs = REPEATED * ROWS * cpu.cores * COLUMNS * CHANNELS**2
    return builder.finalize(), macs, np.ones(shape, np.float32)
