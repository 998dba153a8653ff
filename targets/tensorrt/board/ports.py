"""The inputs and outputs that an engine declares."""

from typing import Any, NamedTuple, Tuple

import numpy as np
import tensorrt as trt

from .failure import Failure

Shape = Tuple[int, ...]

# TensorRT's own nptype() names np.bool, which numpy 1.24 removed.
DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


class Port(NamedTuple):
    """One input or output as the engine declares it; open sizes are -1."""

    name: str
    number: int
    is_input: bool
    shape: Shape
    dtype: Any

    @property
    def dynamic(self) -> bool:
        """Whether a size is open."""
        return -1 in self.shape


def dtype_of(name: str, dtype: trt.DataType) -> Any:
    """Return numpy's type of the tensor `name`.

    Raises:
        Failure: numpy has no such type.
    """
    kind = str(dtype).split(".")[-1]
    if kind not in DTYPES:
        raise Failure("the engine's tensor {!r} has the type {}, which numpy lacks.".format(name, kind))
    return DTYPES[kind]


def sizes(dims: trt.Dims) -> Shape:
    """Return TensorRT's `dims` as a tuple; they can be indexed, but not iterated over."""
    return tuple(dims[axis] for axis in range(len(dims)))
