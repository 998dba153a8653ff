"""`smallest`: the part of a failing graph that still fails: cut behind its first wrong value and as far before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import onnx

from tests.support.random_graphs.graph import run_model, value_info
from tests.support.random_graphs.judge import inputs_for


def smallest(proto: onnx.ModelProto, fails: Callable[[onnx.ModelProto], bool]) -> onnx.ModelProto:
    """Return a part of `proto` for which `fails` still holds, with no smaller one found by cutting.

    Args:
        proto: It fails.
        fails: Called with parts of it; raises nothing.
    """
    while True:
        smaller = (part for part in _parts(proto) if len(part.graph.node) < len(proto.graph.node))
        part = next((each for each in smaller if fails(each)), None)
        if part is None:
            return proto
        proto = part


def _parts(proto: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """Yield smaller graphs: first those that end at one early value, then those with an input in a node's place."""
    infos = _value_infos(proto)
    constant = {name for node in proto.graph.node if node.op_type == "Constant" for name in node.output}
    for name in [name for name in infos if name not in constant]:
        yield _part(proto, infos, [name])
    for node in proto.graph.node:
        if node.op_type == "Constant":
            continue
        kept = [output.name for output in proto.graph.output if output.name not in node.output]
        if kept:
            yield _part(proto, infos, kept, [name for name in node.output if name])


def _value_infos(proto: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    names = [name for node in proto.graph.node for name in node.output if name]
    whole = onnx.ModelProto()
    whole.CopyFrom(proto)
    del whole.graph.output[:]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    arrays = run_model(whole, inputs_for(proto, 0))
    return {name: value_info(name, array) for name, array in zip(names, arrays, strict=True)}


def _part(
    proto: onnx.ModelProto,
    infos: dict[str, onnx.ValueInfoProto],
    outputs: Sequence[str],
    inputs: Sequence[str] = (),
) -> onnx.ModelProto:
    """Return what `outputs` need where `inputs` are given."""
    given = set(inputs)
    needed, nodes = set(outputs), []
    for node in reversed(proto.graph.node):
        if needed & set(node.output) and not given & set(node.output):
            nodes.insert(0, node)
            needed |= set(node.input)
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    graph = made.graph
    for field in (graph.node, graph.input, graph.output, graph.initializer):
        del field[:]
    graph.node.extend(nodes)
    graph.input.extend(
        value for value in (*proto.graph.input, *(infos[name] for name in inputs)) if value.name in needed
    )
    graph.initializer.extend(tensor for tensor in proto.graph.initializer if tensor.name in needed)
    graph.output.extend(infos[name] for name in outputs)
    return made
