"""`Use`: one node with its inputs, as a model; `Draw`: what generators of uses draw from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes  # noqa: F401  (numpy knows bfloat16 only after this)
import numpy as np
import onnx
from onnx import helper, numpy_helper

Array = np.ndarray[Any, Any]

FLOATS = ("float32", "float32", "float32", "float16", "float64")
INTEGERS = ("int64", "int32", "int8", "uint8", "int16", "uint16", "uint32", "uint64")
NEWEST = 24
"""Operator set, the newest that the generators and ONNX Runtime both know."""


@dataclass(frozen=True)
class Use:
    """One node: `inputs` are arrays, None for an optional one left out; `constants` are the indices of initializers."""

    op_type: str
    opset: int
    inputs: tuple[Array | None, ...]
    attributes: dict[str, Any]
    constants: frozenset[int]
    outputs: int = 1
    tolerance: float = 1.0
    """Factor on the tolerance of the type: for what sums or amplifies rounding."""

    @property
    def feeds(self) -> dict[str, Array]:
        """Graph inputs by name."""
        return {
            f"x{index}": array
            for index, array in enumerate(self.inputs)
            if array is not None and index not in self.constants
        }

    def model(self, outputs: Sequence[Array] | None = None) -> onnx.ModelProto:
        """Return the node as a model; `outputs` tells shapes and types of its outputs, which are open without."""
        names = ["" if array is None else f"x{index}" for index, array in enumerate(self.inputs)]
        while names and not names[-1]:
            names.pop()
        results = [f"y{index}" for index in range(self.outputs)]
        node = helper.make_node(self.op_type, names, results, name="node", **self.attributes)
        infos = [helper.make_tensor_value_info(name, kind_of(array), array.shape) for name, array in self.feeds.items()]
        weights = [numpy_helper.from_array(np.asarray(self.inputs[at]), f"x{at}") for at in sorted(self.constants)]
        if outputs is None:
            made = [onnx.ValueInfoProto(name=name) for name in results]
        else:
            made = [
                helper.make_tensor_value_info(name, kind_of(array), array.shape)
                for name, array in zip(results, outputs, strict=True)
            ]
        graph = helper.make_graph([node], "use", infos, made, weights)
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8 if self.opset < 20 else 10)

    def __str__(self) -> str:
        shown = []
        for index, array in enumerate(self.inputs):
            if array is None:
                shown.append("-")
            elif index in self.constants and array.size <= 8:
                shown.append(f"{array.dtype.name}{array.tolist()}")
            else:
                shown.append(f"{array.dtype.name}[{','.join(map(str, array.shape))}]" + "c" * (index in self.constants))
        attributes = ", ".join(f"{name}={value}" for name, value in self.attributes.items())
        return f"{self.op_type}-{self.opset}({', '.join(shown)}){{{attributes}}}"


def kind_of(array: Array) -> int:
    """Return ONNX's number of the element type."""
    return int(helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype))


class Draw:
    """A seeded source of shapes, numbers and choices."""

    def __init__(self, seed: Sequence[int], oldest: int, newest: int) -> None:
        self.random = np.random.default_rng(seed)
        self.opset = int(self.random.integers(oldest, newest + 1))

    def one(self, *choices: Any) -> Any:
        """Return one of `choices`."""
        return choices[int(self.random.integers(len(choices)))]

    def flag(self, likely: float = 0.5) -> bool:
        """Return True with probability `likely`."""
        return bool(self.random.random() < likely)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return int(self.random.integers(low, high + 1))

    def shape(self, low: int = 0, high: int = 5, largest: int = 6) -> tuple[int, ...]:
        """Return a shape of `low` to `high` axes."""
        return tuple(self.integer(1, largest) for _ in range(self.integer(low, high)))

    def axis(self, rank: int) -> int:
        """Return an axis, counted from the end as often as not."""
        return self.integer(-rank, rank - 1)

    def axes(self, rank: int, least: int = 1) -> list[int]:
        """Return different axes in any order, some counted from the end."""
        count = self.integer(min(least, rank), rank)
        chosen = self.random.permutation(rank)[:count].tolist()
        return [axis - rank if self.flag(0.3) else axis for axis in chosen]

    def broadcast(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape that broadcasts to `shape`: leading axes left out, others of size 1."""
        kept = shape[self.integer(0, len(shape)) :] if self.flag(0.4) else shape
        return tuple(1 if self.flag(0.25) else size for size in kept)

    def array(self, shape: Sequence[int], dtype: str = "float32", low: float = -3, high: float = 3) -> Array:
        """Return numbers from `low` to `high` (0 for unsigned integers where it is less)."""
        if dtype == "bool":
            return np.asarray(self.random.integers(0, 2, shape)).astype(bool)
        if "float" in dtype:
            return np.asarray(self.random.uniform(low, high, shape)).astype(dtype)
        low = max(low, 0) if dtype.startswith("u") else low
        return np.asarray(self.random.integers(int(low), int(high) + 1, shape)).astype(dtype)

    def made(
        self,
        op_type: str,
        inputs: Sequence[Array | None],
        attributes: dict[str, Any] | None = None,
        *,
        constants: Sequence[int] = (),
        weights: Sequence[int] = (),
        outputs: int = 1,
        tolerance: float = 1.0,
    ) -> Use:
        """Return a use; inputs `constants` are always initializers, `weights` more often than not."""
        fixed = {index for index in constants if index < len(inputs) and inputs[index] is not None}
        fixed |= {index for index in weights if index < len(inputs) and inputs[index] is not None and self.flag(0.7)}
        given = {name: value for name, value in (attributes or {}).items() if value is not None}
        return Use(op_type, self.opset, tuple(inputs), given, frozenset(fixed), outputs, tolerance)

    def maybe(self, **attributes: Any) -> dict[str, Any]:
        """Return `attributes` with some left out."""
        return {name: value for name, value in attributes.items() if self.flag(0.7)}
