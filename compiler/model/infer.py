"""Shape and type inference for models of any size: ONNX's own inference, shape arithmetic and control flow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import onnx
import onnx_ir as ir

from edgec.errors import BadModel
from edgec.model.graph import attribute, is_static, subgraphs
from edgec.model.missing_shapes import missing_shape
from edgec.model.pinned import where_pinned
from edgec.model.resolve import may_resolve, resolve
from edgec.model.rewriter import is_read
from edgec.model.serialize import bare_copy
from edgec.model.shape_values import Array, shape_values
from edgec.model.windows import check_kernels, write_odd_windows

FAILED_NODE = re.compile(r"\(op_type:(\w+), node name: (.*?)\): (?:\[\w+\] )?(.*?)(?= ?\(op_type:|$)")
"""How ONNX's inference names the node at which it fails."""
LONGEST_SHAPE = 1 << 20
"""ONNX follows the elements of every integer vector, as it may be a shape: longer ones are hidden from it."""


def infer_shapes(model: ir.Model, *, sizes: Mapping[str, int] | None = None, remedy: str | None = None) -> None:
    """Infer the type and shape of every value of `model` again, in place, from inputs and initializers.

    Three steps are repeated until nothing more is found: inference, evaluation of shape arithmetic, and resolution of
    the control flow that shapes decide. They run on a copy: `model` keeps its nodes, except that windows which ONNX
    misreads are written explicitly. Existing shapes are kept only if none can be inferred (operators of other domains,
    sizes that depend on the data).

    Args:
        model: Any valid model.
        sizes: Sizes of symbolic dimensions, for the shapes that are kept.
        remedy: Remedy in the message if inference fails.

    Raises:
        BadModel: Types, shapes or kernel sizes contradict each other; the message names operator and node.
    """
    _write_attributes(model)
    _open_carried(model)
    _infer_anew(model, sizes or {}, remedy)
    while write_odd_windows(model):
        _infer_anew(model, sizes or {}, remedy)
    check_kernels(model.graph)


def _infer_anew(model: ir.Model, sizes: Mapping[str, int], remedy: str | None) -> None:
    before: dict[str, ir.Shape] = {}
    for value in _node_outputs(model.graph):
        if value.shape is not None:
            before[value.name or ""] = ir.Shape([_known(dim, sizes) for dim in value.shape])
            value.shape = None
    bare = bare_copy(model)
    for node in bare.graph.all_nodes():
        node.name = node.name or node.outputs[0].name  # for messages
    _infer_all(bare, {}, remedy)
    # Existing shapes are not used if ONNX can infer them: exporters write wrong ones on outputs.
    kept = {
        name: _merged(value.shape, before[name])
        for value in _node_outputs(bare.graph)
        if (name := value.name or "") in before and not is_static(value)
    }
    if kept:
        _infer_all(bare, kept, remedy)
    _copy_shapes(bare.graph, model.graph)
    _shape_constants(model)


def _shape_constants(model: ir.Model) -> None:
    """Give Constant nodes the shape of their tensor: large ones are inputs, not nodes, in a bare copy."""
    for node in model.graph.all_nodes():
        tensor = ir.convenience.get_const_tensor(node.outputs[0]) if node.op_type == "Constant" else None
        if tensor is not None:
            node.outputs[0].shape, node.outputs[0].dtype = ir.Shape(tensor.shape.numpy()), tensor.dtype


def resolve_all(model: ir.Model) -> tuple[list[str], list[tuple[str, str]]]:
    """Resolve control flow and sequences of `model`, whose shapes are inferred, in place, until nothing changes.

    Returns:
        Sentences on what was done, and (node, reason) of the control flow that stays.
    """
    changes: list[str] = []
    while may_resolve(model):
        done, left = resolve(model)
        if not done:
            return changes, list(left)
        changes.extend(done)
        infer_shapes(model)
    return changes, []


def _write_attributes(model: ir.Model) -> None:
    """Write out attributes that are read in different ways.

    ONNX infers MeanVarianceNormalization through its body, which fails without axes. Its inference and ONNX Runtime
    keep reduced axes only if `keepdims` is 1, other programs also for other numbers than 0. ONNX's inference assumes 0
    as the default of `onesided` of STFT, which is 1.
    """
    for node in model.graph.all_nodes():
        if node.domain == "" and attribute(node, "keepdims", 1) not in (0, 1):
            node.attributes.add(ir.AttrInt64("keepdims", 0))
        if node.op_type == "MeanVarianceNormalization" and "axes" not in node.attributes:
            node.attributes.add(ir.AttrInt64s("axes", (0, 2, 3)))
        if node.op_type == "STFT" and node.domain == "" and "onesided" not in node.attributes:
            node.attributes.add(ir.AttrInt64("onesided", 1))


def _open_carried(model: ir.Model) -> None:
    """Remove the sizes of values that a Loop carries: exporters write those of the first iteration; they may grow."""
    for node in model.graph.all_nodes():
        if node.op_type == "Loop" and node.domain == "":
            for value in node.attributes["body"].as_graph().inputs[2:]:
                value.shape = None if value.shape is None else ir.Shape([None] * len(value.shape))


def _infer_all(bare: ir.Model, kept: Mapping[str, ir.Shape], remedy: str | None) -> None:
    """Infer until nothing more is found: shapes decide control flow, and shape arithmetic gives new shapes.

    Inference begins with the shapes in `kept` alone, and again after control flow was resolved, because branches
    declare wrong ones. ONNX's errors in a branch that is never taken must be ignored: as long as there is control
    flow, inference skips nodes that it cannot infer.
    """
    _forget_shapes(bare, kept)
    while True:
        undecided = may_resolve(bare)
        _infer_once(bare, remedy, strict=not undecided)
        if not undecided and all(is_static(value) for value in _node_outputs(bare.graph) if is_read(value)):
            return
        found = _write_values(bare) | _write_missing_shapes(bare)
        if undecided and resolve(bare)[0]:
            _forget_shapes(bare, kept)
        elif not found:
            return


def _forget_shapes(bare: ir.Model, kept: Mapping[str, ir.Shape]) -> None:
    for value in _node_outputs(bare.graph):
        value.shape = kept.get(value.name or "")


def _infer_once(bare: ir.Model, remedy: str | None, *, strict: bool) -> None:
    try:
        given = ir.to_proto(bare)
        follow = _longest_vector(onnx.shape_inference.infer_shapes(given).graph) <= LONGEST_SHAPE
        proto = onnx.shape_inference.infer_shapes(given, check_type=strict, strict_mode=strict, data_prop=follow)
    except (onnx.shape_inference.InferenceError, ir.serde.SerdeError, RuntimeError, ValueError) as error:
        raise BadModel(
            f"the model's shapes contradict each other: {_explained(str(error), bare)}",
            remedy=remedy or "Export the model again with fixed shapes.",
        ) from error
    _copy_shapes(ir.from_proto(proto).graph, bare.graph)


def _longest_vector(graph: onnx.GraphProto) -> int:
    shapes = (value.type.tensor_type.shape.dim for value in (*graph.input, *graph.value_info, *graph.output))
    return max((shape[0].dim_value for shape in shapes if len(shape) == 1), default=0)


def _explained(message: str, bare: ir.Model) -> str:
    """Return the first failure that ONNX's inference reports, with the node, and the constants that fix sizes there."""
    text = " ".join(message.split())
    failed = FAILED_NODE.search(text)
    if failed is None:
        return text
    op_type, name, reason = failed.groups()
    node = next((each for each in bare.graph if (each.op_type, each.name) == (op_type, name)), None)
    return f"{op_type} node {name!r}: {reason.strip()}{'' if node is None else where_pinned(node)}"


def _write_missing_shapes(bare: ir.Model) -> bool:
    """Give results that ONNX's inference leaves without a shape theirs; return whether there were any."""
    found = False
    for node in bare.graph.all_nodes():
        shape = missing_shape(node)
        if shape is not None:
            source, result = node.inputs[0], node.outputs[0]
            assert source is not None
            result.shape, result.type = ir.Shape(shape), result.type or source.type
            found = True
    return found


def _write_values(bare: ir.Model) -> bool:
    """Replace nodes that compute from shapes alone by constants; return whether there were any."""
    found = False
    for value, array in shape_values(bare).items():
        node = value.producer()
        if node is None or not isinstance(node.graph, ir.Graph) or value.is_graph_output() or not value.uses():
            continue
        _put_constant(node.graph, value, array)
        found = True
    return found


def _put_constant(graph: ir.Graph, output: ir.Value, array: Array) -> None:
    name = output.name or ""
    stand_in = ir.val(name, const_value=ir.tensor(array, name=name))
    output.replace_all_uses_with(stand_in)
    output.name = f"{name}/computed"
    graph.register_initializer(stand_in)


def _copy_shapes(source: ir.Graph, destination: ir.Graph) -> None:
    """Copy type and shape of the values of `source` to the values of the same name in `destination`."""
    found = {value.name: value for value in _own_outputs(source)} | dict(source.initializers)
    inside = {node.outputs[0].name: node for node in source if node.outputs and subgraphs(node)}
    for node in destination:
        for value in node.outputs:
            result = found.get(value.name or "")
            if result is not None:
                value.type = value.type if result.type is None else result.type
                value.shape = value.shape if result.shape is None else result.shape
        other = inside.get(node.outputs[0].name) if node.outputs and subgraphs(node) else None
        if other is not None:
            for inner, outer in zip(subgraphs(other), subgraphs(node), strict=True):
                _copy_shapes(inner, outer)


def _own_outputs(graph: ir.Graph) -> Iterator[ir.Value]:
    for node in graph:
        yield from node.outputs


def _node_outputs(graph: ir.Graph) -> Iterator[ir.Value]:
    for node in graph.all_nodes():
        yield from node.outputs


def _known(dim: int | ir.SymbolicDim, sizes: Mapping[str, int]) -> int | str | None:
    if isinstance(dim, int):
        return dim if dim > 0 else None
    return sizes.get(dim.value or "", dim.value)


def _merged(inferred: ir.Shape | None, before: ir.Shape) -> ir.Shape:
    """Return `inferred` with its open dimensions taken from `before`, or `before` if nothing was inferred."""
    if inferred is None:
        return before
    if len(inferred) != len(before):
        return inferred
    return ir.Shape([dim if isinstance(dim, int) else old for dim, old in zip(inferred, before, strict=True)])
