"""Names, shapes and dtypes of a model's inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx_ir as ir
from pydantic import BaseModel, ConfigDict

from edgec.errors import BadOption, UnsupportedModel
from edgec.model.open_sizes import why_open
from edgec.registry import suggest

ANONYMOUS = frozenset({"", "?", "*", "-1", "None", "none"})
"""Generic names that exporters give to dimensions: for these, equal names do not mean equal sizes."""


class TensorSpec(BaseModel):
    """One input or output: name, static shape, name of its numpy dtype."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{'x'.join(map(str, self.shape))}]"


def batched(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a picture with its first axis, the batch, which some networks' inputs do not have."""
    return (1, *shape) if len(shape) == 3 else tuple(shape)


def inputs_of(model: ir.Model) -> tuple[TensorSpec, ...]:
    """Return the inputs a caller must feed, in order; initializers that are listed as inputs are left out.

    Raises:
        UnsupportedModel: An input has an open dimension or is not a tensor.
    """
    graph = model.graph
    return tuple(_spec(value, "input") for value in graph.inputs if value.name not in graph.initializers)


def outputs_of(model: ir.Model) -> tuple[TensorSpec, ...]:
    """Return the outputs, in order.

    Raises:
        UnsupportedModel: An output has an open dimension or is not a tensor.
    """
    return tuple(_spec(value, "output") for value in model.graph.outputs)


def check_array(array: np.ndarray[Any, Any], spec: TensorSpec, source: str) -> None:
    """Raise an error for an array whose shape or dtype is not that of `spec`.

    Raises:
        BadOption: The array does not fit; the message names `source`, what it is and what the model expects.
    """
    if array.shape != spec.shape or _name(array.dtype) != spec.dtype:
        got = f"{array.dtype.name}[{'x'.join(map(str, array.shape))}]"
        remedy = "Convert it: use `numpy.transpose` for the order of axes and `astype` for the type."
        raise BadOption(f"{source} is {got}, but the model expects {spec}", remedy=remedy)


def check_feeds(feeds: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> dict[str, np.ndarray[Any, Any]]:
    """Raise an error for feeds that are not exactly `inputs`, with their shapes and dtypes.

    Returns:
        The arrays in the order of `inputs`, contiguous (C order) and in this machine's byte order; they are copied
        only if they were not.

    Raises:
        BadOption: A feed does not fit; the message names the input.
    """
    check_names(feeds, inputs)
    fitting = {}
    for spec in inputs:
        array = np.asarray(feeds[spec.name])
        check_array(array, spec, f"input {spec.name!r}")
        fitting[spec.name] = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    return fitting


def check_names(feeds: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> None:
    """Refuse feeds that have not exactly the names of `inputs`.

    Raises:
        BadOption: Names the input at fault.
    """
    if len(feeds) == len(inputs) and all(spec.name in feeds for spec in inputs):
        return
    known = {spec.name for spec in inputs}
    for name in feeds:
        if name not in known:
            raise BadOption(f"no input is called {name!r}", remedy=suggest(name, known))
    missing = next(spec for spec in inputs if spec.name not in feeds)
    raise BadOption(f"input {missing} was not given", remedy="Give an array for every input.")


@cache
def _name(dtype: np.dtype[Any]) -> str:
    """Return the name of `dtype`, which numpy puts together anew each time."""
    return dtype.name


def symbols(shape: ir.Shape | None, known: Collection[str] | None = None) -> tuple[int | str, ...] | None:
    """Return the sizes of `shape`, open ones by the model's names, and `?` where those say nothing; None stays None.

    Args:
        shape: A shape, of which any size may be open.
        known: Names that say something; None: all except those that exporters and ONNX's inference make up.
    """
    if shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else _symbol(dim.value or "", known) for dim in shape)


def _symbol(name: str, known: Collection[str] | None) -> str:
    generated = name in ANONYMOUS or name.startswith("unk__")
    return "?" if generated or (known is not None and name not in known) else name


def with_symbols(value: ir.Value) -> str:
    """Return name, type and shape of `value`, open sizes by the model's names, e.g. `x: float32[N, 3, H, W]`."""
    shape = symbols(value.shape)
    return f"{value.name}: {_type_of(value)}[{'?' if shape is None else ', '.join(map(str, shape))}]"


def described(value: ir.Value) -> str:
    """Return name, type and shape of `value` for messages, with ? for unknown sizes, e.g. `x: float32[1x3x?x?]`."""
    dims = "?" if value.shape is None else "x".join(str(dim) if isinstance(dim, int) else "?" for dim in value.shape)
    return f"{value.name}: {_type_of(value)}[{dims}]"


def _type_of(value: ir.Value) -> str:
    return "?" if value.dtype is None else np.dtype(value.dtype.numpy()).name


def _spec(value: ir.Value, kind: str) -> TensorSpec:
    if value.dtype is None or value.shape is None or not value.shape.is_static():
        reason, remedy = why_open(value)
        problem = f"{kind} {value.name!r} has no static shape ({described(value)}): {reason}"
        raise UnsupportedModel(problem, remedy=remedy)
    return TensorSpec(name=value.name or "", shape=value.shape.numpy(), dtype=np.dtype(value.dtype.numpy()).name)
