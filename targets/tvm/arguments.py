"""Arrays as arguments of a compiled network, and its results as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tvm
import tvm_ffi

from edgec.model.signature import TensorSpec, check_array, check_names

Array = np.ndarray[Any, Any]

ALIGNMENT = 64
"""Alignment in bytes that kernels assume of an input's address."""
WORTH_A_LOOK = 1 << 16
"""Inputs of this many bytes or more are checked first: copying them costs more than the check whether they need it."""
NOT_IN_NUMPY = frozenset({"bfloat16"})
"""Element types that another package defines, which numpy cannot pass by DLPack."""


class Arguments:
    """Tensors of the inputs: each is bound once; arrays are copied into them, but large ones are used in place.

    Only one call at a time may use them.
    """

    def __init__(self, inputs: Sequence[TensorSpec]) -> None:
        self._inputs = inputs
        self._sources = [f"input {spec.name!r}" for spec in inputs]
        self._bound = [_bound(spec) for spec in inputs]

    def check(self, feeds: Mapping[str, Any]) -> list[Array]:
        """Return the arrays of `feeds` in the order of the inputs.

        Raises:
            BadOption: An input is missing, unknown, or has another shape or dtype.
        """
        check_names(feeds, self._inputs)
        given = []
        for spec, source in zip(self._inputs, self._sources, strict=True):
            array = np.asarray(feeds[spec.name])
            check_array(array, spec, source)
            given.append(array)
        return given

    def of(self, given: Sequence[Array]) -> list[Any]:
        """Return the tensors of `given`, the result of `check`; valid until the next call."""
        return [self._held(array, bound) for array, bound in zip(given, self._bound, strict=True)]

    def _held(self, array: Array, bound: tuple[Array, Any] | None) -> Any:
        if bound is None:
            return tvm.runtime.tensor(array.astype(array.dtype.newbyteorder("="), copy=False))
        if array.nbytes >= WORTH_A_LOOK and _fits(array):
            return _tensor(array)
        buffer, tensor = bound
        np.copyto(buffer, array)
        return tensor


def arrays(result: Any) -> list[Array]:
    """Return copies of the results of a network: a tensor, or several."""
    return [_copy(result)] if isinstance(result, tvm_ffi.Tensor) else [_copy(tensor) for tensor in result]


def _copy(tensor: Any) -> Array:
    try:
        return np.from_dlpack(tensor).copy()
    except (BufferError, RuntimeError):  # raised for a type that numpy cannot pass by DLPack
        array: Array = tensor.numpy()
        return array


def _bound(spec: TensorSpec) -> tuple[Array, Any] | None:
    """Return an array at an aligned address, and the tensor in its memory; None if there can be none."""
    if spec.dtype in NOT_IN_NUMPY or 0 in spec.shape:
        return None
    dtype = np.dtype(spec.dtype)
    size = math.prod(spec.shape) * dtype.itemsize
    room = np.zeros(size + ALIGNMENT, np.uint8)
    begin = -_address(room) % ALIGNMENT
    array = room[begin : begin + size].view(dtype).reshape(spec.shape)
    return array, _tensor(array)


def _fits(array: Array) -> bool:
    flags = array.flags
    exported = flags.c_contiguous and flags.writeable and array.dtype.isnative
    return exported and _address(array) % ALIGNMENT == 0


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _tensor(array: Array) -> Any:
    return tvm_ffi.from_dlpack(array, require_alignment=ALIGNMENT, require_contiguous=True)
