"""How a block accesses memory as its axes advance: which axes can be fused, and which axis is contiguous where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tvm
import tvm_ffi
from tvm import sym, tirx


@dataclass(frozen=True)
class Access:
    """Stride of each axis: by how many elements the address moves per step; None if that varies."""

    steps: tuple[int | None, ...]


def accesses_of(block: Any) -> list[Access]:
    """Return the accesses of `block`, which has one store: the store first, then every element it reads."""
    analyzer = sym.Analyzer()
    variables = [axis.var for axis in block.iter_vars]
    for axis in block.iter_vars:
        analyzer.bind(axis.var, axis.dom)
    store = block.body
    found = [_access(store.buffer, store.indices, variables, analyzer)]

    def visit(load: tvm.ir.TensorLoad) -> None:
        found.append(_access(load.source, load.indices, variables, analyzer))

    tvm_ffi.structural_walk(store.value, (tvm.ir.TensorLoad, visit))
    return found


def _access(buffer: Any, indices: Sequence[Any], variables: Sequence[Any], analyzer: sym.Analyzer) -> Access:
    address = _address(buffer, indices, analyzer)
    return Access(tuple(_step(address, variable) for variable in variables))


def _address(buffer: Any, indices: Sequence[Any], analyzer: sym.Analyzer) -> Any:
    address: Any = tirx.const(0, str(indices[0].ty.dtype) if indices else "int64")
    for extent, index in zip(buffer.shape, indices, strict=True):
        address = address * extent + index
    return analyzer.simplify(address)


def linear_address(buffer: Any, indices: Sequence[Any], variables: Sequence[Any], analyzer: sym.Analyzer) -> Any:
    """Return the address of an element of `buffer` if it is linear in `variables`, else None."""
    address = _address(buffer, indices, analyzer)
    return address if all(_step(address, variable) is not None for variable in variables) else None


def _step(address: Any, variable: Any) -> int | None:
    terms = sym.detect_linear_equation(address, [variable])
    return int(terms[0]) if terms and isinstance(terms[0], tirx.IntImm) else None


def fusable(accesses: Sequence[Access], extents: Sequence[int], axis: int) -> bool:
    """Return whether axes `axis` and `axis + 1` can be fused: every address runs through both as through one."""
    pairs = [(access.steps[axis], access.steps[axis + 1]) for access in accesses]
    return all(None not in pair and pair[0] == pair[1] * extents[axis + 1] for pair in pairs)  # type: ignore[operator]


def runs(accesses: Sequence[Access], extents: Sequence[int]) -> list[list[int]]:
    """Return the axes in groups that can be fused, in order."""
    groups: list[list[int]] = []
    for axis in range(len(extents)):
        if groups and fusable(accesses, extents, axis - 1):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups


def crossed_axis(accesses: Sequence[Access]) -> int | None:
    """Return an axis before the last along which a tensor that is read is contiguous, if there is one."""
    last = len(accesses[0].steps) - 1
    for access in accesses[1:]:
        side_by_side = [axis for axis in range(last) if access.steps[axis] == 1]
        if access.steps[last] not in (0, 1, None) and side_by_side:
            return side_by_side[-1]
    return None
