"""Makes all shapes static: `--shape` and defaults fix the inputs, ONNX's inference does the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from edgec.errors import BadModel, BadOption, UnsupportedModel
from edgec.limits import check_memory
from edgec.model.graph import attribute, label
from edgec.model.impossible_branches import take_possible_branches
from edgec.model.infer import infer_shapes, resolve_all
from edgec.model.metadata import picture_size
from edgec.model.pinned import check_reshapes
from edgec.model.signature import ANONYMOUS, described
from edgec.registry import suggest


class MissingSizes(BadOption):
    """Inputs have open dimensions that no option and no default gives a size."""


def fix_shapes(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> ir.Model:
    """Return a copy of `model` with static input shapes and all shapes inferred; tensors are shared with `model`.

    Control flow that the shapes decide is resolved; a branch of an If that cannot run at them counts as never taken.
    An open first dimension (symbolic, zero or negative) is the batch and becomes 1; height and width of a picture
    become what the metadata says as `imgsz`; other open ones must be in `shapes`. A symbolic name has the same size
    wherever it occurs. Sizes that the model fixes can be overridden: no shape in the file is believed then.

    Args:
        model: As `edgec.model.load.load` returns it.
        shapes: Input name -> its full shape.

    Raises:
        BadOption: `shapes` names an unknown input, has the wrong rank or contradicts itself.
        MissingSizes: `shapes` lacks a dimension that has no default.
        UnsupportedModel: An input has no rank, or a value takes more than the memory limit; the message names the node.
        BadModel: The shapes inside the model contradict each other, or sizes written into the graph contradict
            `shapes`; the message names the nodes.
    """
    other_sizes = any(_contradicts(value.shape, shapes.get(value.name or "")) for value in model.graph.inputs)
    fixed = open_shapes(model) if other_sizes else model.clone()
    inputs = {value.name or "": value for value in fixed.graph.inputs}
    _refuse_wrong_names(shapes, inputs)
    dims = {value.name or "": _open_dims(value, shapes.get(value.name or "")) for value in model.graph.inputs}
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        dims[name] = _override(name, dims[name], shape, sizes)
    for open_or_not in dims.values():
        _default_batch(open_or_not, sizes)
        _default_picture(open_or_not, sizes, picture_size(model.metadata_props))
    for name, value in inputs.items():
        resolved = [dim if isinstance(dim, int) else sizes.get(dim) for dim in dims[name]]
        if None in resolved:
            raise _missing_shape(name, dims[name], resolved)
        value.shape = ir.Shape(resolved)
    infer_shapes(fixed, sizes=sizes, remedy="Check --shape, or export the model for this shape." if shapes else None)
    resolve_all(fixed)
    take_possible_branches(fixed)
    check_reshapes(fixed.graph)
    _check_sizes(fixed.graph)
    _check_groups(fixed.graph)
    return fixed


def _check_groups(graph: ir.Graph) -> None:
    """Raise an error for convolutions whose groups do not divide their channels, which ONNX's inference accepts."""
    for node in graph:
        if node.domain != "" or node.op_type not in ("Conv", "ConvTranspose"):
            continue
        read, weights = (None if value is None else value.shape for value in node.inputs[:2])
        if read is None or weights is None or min(len(read), len(weights)) < 3:
            continue
        if not (read.is_static() and weights.is_static()):
            continue
        groups, channels = attribute(node, "group", 1), read.numpy()[1]
        first, second = weights.numpy()[:2]
        filters, expected = (first, second * groups) if node.op_type == "Conv" else (first, first)
        if groups < 1 or filters % groups or channels != expected:
            problem = f"{node.op_type} node {label(node)!r}: {groups} groups, {channels} channels, weights {weights}"
            raise BadModel(f"{problem} do not fit", remedy="Export the model again.")


def _check_sizes(graph: ir.Graph) -> None:
    made = [(value, f"{node.op_type} node {label(node)!r}: its output") for node in graph for value in node.outputs]
    for value, what in [*((value, "input") for value in graph.inputs), *made]:
        if value.shape is not None and value.shape.is_static() and value.dtype not in (None, ir.DataType.STRING):
            sizes = value.shape.numpy()
            if min(sizes, default=0) < 0:  # ONNX's inference makes them of windows larger than what they slide over
                raise BadModel(f"{what} {described(value)} has a negative size", remedy="Give a larger --shape.")
            size = math.ceil(math.prod(sizes) * value.dtype.itemsize)
            check_memory(size, f"{what} {described(value)}")


def open_shapes(model: ir.Model) -> ir.Model:
    """Return a copy of `model` without any shapes except the ranks of its inputs; tensors are shared with `model`.

    The copy computes the user's model at any size: no runtime rejects a branch that is never taken, or shapes in the
    file that belong to another size.
    """
    opened = model.clone()
    for value in opened.graph.inputs:
        value.shape = None if value.shape is None else ir.Shape([None] * len(value.shape))
    for node in opened.graph.all_nodes():
        for value in node.outputs:
            value.shape = None
    return opened


def _refuse_wrong_names(shapes: Mapping[str, tuple[int, ...]], inputs: Mapping[str, ir.Value]) -> None:
    for name, shape in shapes.items():
        if name not in inputs:
            raise BadOption(f"--shape: the model has no input {name!r}", remedy=suggest(name, inputs))
        if any(size < 1 for size in shape):
            raise BadOption(f"--shape {_text(name, shape)}: sizes must be 1 or more", remedy="Give the full shape.")


def _open_dims(value: ir.Value, given: tuple[int, ...] | None) -> list[int | str]:
    """Return the dimensions of an input: sizes, and names for open ones, which are generated if the model has none."""
    if value.shape is None:
        if given is not None:
            return list(given)
        raise UnsupportedModel(
            f"input {value.name!r} has no shape, not even a number of dimensions",
            remedy=f"Give --shape {value.name}=... with all its dimensions.",
        )
    dims: list[int | str] = []
    for axis, dim in enumerate(value.shape):
        if isinstance(dim, int) and dim > 0:
            dims.append(dim)
        else:
            symbol = "" if isinstance(dim, int) else dim.value or ""
            dims.append(f"{value.name}[{axis}]" if symbol in ANONYMOUS else symbol)
    return dims


def _override(name: str, dims: list[int | str], shape: tuple[int, ...], sizes: dict[str, int]) -> list[int | str]:
    """Check `shape` against `dims`, record the sizes of names in `sizes`, and return it."""
    if len(shape) != len(dims):
        raise BadOption(
            f"--shape {_text(name, shape)}: the input has {len(dims)} dimensions, not {len(shape)}",
            remedy=f"Its shape is {_text(name, dims)}.",
        )
    for axis, (dim, size) in enumerate(zip(dims, shape, strict=True)):
        if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
            raise BadOption(
                f"--shape {_text(name, shape)}: dimension {axis} is {size}, but the model calls it {dim!r}, and "
                f"elsewhere that is given as {sizes[dim]}",
                remedy=f"Give {sizes[dim]} there, or the other one as {size}.",
            )
    return list(shape)


def _contradicts(shape: ir.Shape | None, given: tuple[int, ...] | None) -> bool:
    if shape is None or given is None or len(shape) != len(given):
        return False
    return any(isinstance(dim, int) and 0 < dim != size for dim, size in zip(shape, given, strict=True))


def _default_batch(dims: list[int | str], sizes: dict[str, int]) -> None:
    if dims and isinstance(dims[0], str):
        sizes.setdefault(dims[0], 1)


def _default_picture(dims: list[int | str], sizes: dict[str, int], picture: tuple[int, int] | None) -> None:
    """Use the height and width that the exporter recorded, if a picture (channels first) leaves both open."""
    if picture is not None and len(dims) == 4 and dims[1] in (1, 3):
        for dim, side in zip(dims[2:], picture, strict=True):
            if isinstance(dim, str):
                sizes.setdefault(dim, side)


def _missing_shape(name: str, dims: list[int | str], resolved: list[int | None]) -> MissingSizes:
    unknown = [str(dim) for dim, size in zip(dims, resolved, strict=True) if size is None]
    wanted = _text(name, ["?" if size is None else size for size in resolved])
    return MissingSizes(
        f"input {name!r} has dimensions without a size: {', '.join(unknown)}",
        remedy=f"Give --shape {wanted} with a size for each ?.",
    )


def _text(name: str, shape: Sequence[int | str]) -> str:
    return f"{name}={','.join(map(str, shape))}"
