"""ONNX to Relax: `to_relax` imports a canonical onnx_ir model with static shapes, or names every node it cannot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import onnx_ir as ir
import tvm
from tvm import relax

from edgec.errors import InternalError, UnsupportedModel
from edgec.model.graph import constant, is_static, opset
from edgec.model.signature import inputs_of, outputs_of
from edgec.targets.base import Finding
from edgec.targets.tvm.loops import captured, loops, turns_of
from edgec.targets.tvm.operators.converters import CONVERTERS
from edgec.targets.tvm.operators.node import OnnxNode, Refused, dtype_of, shape_of, tensor
from edgec.targets.tvm.regions.graph import with_value_names
from edgec.targets.tvm.supported import CONTROL_FLOW, name_of, refusal

REMEDY = "Export the model without it, replace it by supported operators, or choose another target."
MAX_NAMED = 8


def to_relax(model: ir.Model) -> tvm.IRModule:
    """Import `model` as a Relax module whose function `main` takes the inputs in order; weights become constants.

    One output is returned as a tensor, several as a tuple. The shape and type of every value are what ONNX infers.

    Raises:
        UnsupportedModel: Names each operator and node that cannot be imported.
        InternalError: A value has another shape or type than ONNX infers; names the node.
    """
    _refuse(_static_refusals(model))
    inputs_of(model), outputs_of(model)  # refuses shapes that are not static
    work = _import(model)
    _refuse(work.refused)
    canonical: tvm.IRModule = relax.transform.CanonicalizeBindings()(work.builder.finalize())
    return with_value_names(canonical, work.names)


def check(model: ir.Model) -> tuple[Finding, ...]:
    """Return a finding for every node; a node is refused if its operator, or this use of it, cannot be imported."""
    refused = dict(_static_refusals(model))
    whole: list[Finding] = []
    if not refused:
        try:
            inputs_of(model), outputs_of(model)
            refused = dict(_import(model).refused)
        except UnsupportedModel as error:
            whole.append(Finding("", "", "refused", error.problem, error.remedy or ""))
    findings = []
    for node in model.graph.all_nodes():
        where = node.name or node.outputs[0].name or ""
        if node in refused:
            findings.append(Finding(where, refused[node][0], "refused", refused[node][1], REMEDY))
        else:
            findings.append(Finding(where, name_of(node), "supported"))
    return (*whole, *findings)


Refusals = list[tuple[ir.Node, tuple[str, str]]]
"""Nodes, each with a phrase that names the part that cannot be run, and the reason."""


def _static_refusals(model: ir.Model) -> Refusals:
    found = ((node, refusal(node)) for node in model.graph.all_nodes())
    return [(node, reason) for node, reason in found if reason is not None]


def _refuse(refused: Refusals) -> None:
    """Raise an error that names the nodes in `refused`, if there are any."""
    nodes: dict[str, list[str]] = {}
    for node, (what, _) in refused:
        nodes.setdefault(what, []).append(_label(node))
    if not nodes:
        return
    phrases = [f"{what} ({_listed(labels)})" for what, labels in nodes.items()]
    more = f"; and {len(phrases) - MAX_NAMED} more" if len(phrases) > MAX_NAMED else ""
    raise UnsupportedModel(f"the TVM back end cannot run {'; '.join(phrases[:MAX_NAMED])}{more}", remedy=REMEDY)


def _import(model: ir.Model) -> _Import:
    """Return `model` imported, with zeros in place of the nodes that cannot be imported."""
    builder = relax.BlockBuilder()
    work = _Import(builder, model)
    specs = {spec.name: spec for spec in inputs_of(model)}
    inputs = [value for value in model.graph.inputs if value.name in specs]
    for at, value in enumerate(inputs):
        spec = specs[value.name or ""]
        work.values[value] = relax.Var(_identifier(spec.name, at), relax.TensorType(list(spec.shape), spec.dtype))
    work.functions(model.graph)
    with builder.function("main", [work.values[value] for value in inputs]):
        with builder.dataflow():
            work.nodes(model.graph)
            outputs = [work.value(value) for value in model.graph.outputs]
            result = builder.emit_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
        builder.emit_func_output(result)
    return work


class _Import:
    """The Relax expressions of the values of a graph that have been imported so far.

    `names` tells which variable holds which value of the main graph.
    """

    def __init__(self, builder: relax.BlockBuilder, model: ir.Model) -> None:
        self.builder, self.version, self.main = builder, opset(model), model.graph
        self.names: dict[str, str] = {}
        self.values: dict[ir.Value, Any] = {}
        self.refused: Refusals = []
        self.turns: dict[ir.Node, Any] = {}
        """The function of each Loop that computes one iteration."""

    def value(self, value: ir.Value) -> Any:
        """Return the expression of `value`, which is known or constant."""
        if value not in self.values:
            array = constant(value)
            if array is None:
                raise InternalError(f"value {value.name!r} is read before it is computed")
            self.values[value] = tensor(array)
        return self.values[value]

    def functions(self, graph: ir.Graph) -> None:
        """Add the bodies of the loops of `graph` to the module, as functions of the values that an iteration reads."""
        for number, node in enumerate(loops(graph)):
            body = node.attributes["body"].as_graph()
            read = [*body.inputs, *captured(node)]
            if not all(is_static(value) and value.dtype is not None for value in (*read, *body.outputs)):
                continue
            outside = dict(self.values)
            for at, value in enumerate(read):
                self.values[value] = relax.Var(_identifier(value.name or "", at), _type_of(value))
            with self.builder.function(f"turn_{number}", [self.values[value] for value in read], private=True):
                with self.builder.dataflow():
                    self.nodes(body)
                    results = relax.Tuple([self.value(value) for value in body.outputs[1:]])
                    made = self.builder.emit_output(results)
                self.turns[node] = self.builder.emit_func_output(made)
            self.values = outside

    def nodes(self, graph: Iterable[ir.Node]) -> None:
        """Import nodes in order."""
        for node in graph:
            try:
                results = self._imported(node)
            except Refused as error:
                self._refused(node, f"{name_of(node)} {error}", "this use of the operator is not supported")
                continue
            except InternalError:
                raise
            except Exception as error:  # TVM raises errors of any type
                self._refused(node, name_of(node), f"it cannot be imported into TVM: {_first_line(error)}")
                continue
            for output, result in zip(node.outputs, results, strict=False):
                _check(node, output, result)
                self.values[output] = result
                if node.graph is self.main and isinstance(result, relax.Var):
                    self.names[result.name] = output.name or ""

    def _imported(self, node: ir.Node) -> list[Any]:
        if node.op_type in CONTROL_FLOW and node.domain == "":
            return self._branches(node) if node.op_type == "If" else self._loop(node)
        return self._convert(node)

    def _loop(self, node: ir.Node) -> list[Any]:
        """Loop: one call of the function of its body per iteration."""
        if node not in self.turns:
            raise Refused("with results whose size changes between iterations")
        turns, states = turns_of(node), [self.value(value) for value in node.inputs[2:] if value is not None]
        outside = [self.value(value) for value in captured(node)]
        collected: list[list[Any]] = [[] for _ in node.outputs[len(states) :]]
        for turn in range(turns):
            arguments = [tensor(turn, "int64"), tensor(True, "bool"), *states, *outside]
            made = self.builder.emit(relax.Call(self.turns[node], arguments))
            results = [self.builder.emit(relax.TupleGetItem(made, at)) for at in range(len(node.outputs))]
            states = results[: len(states)]
            for stack, result in zip(collected, results[len(states) :], strict=True):
                stack.append(self.builder.emit(relax.op.expand_dims(result, 0)))
        if not turns and collected:
            raise Refused("without iterations, whose results are collected")
        return [*states, *[self.builder.emit(relax.op.concat(stack, 0)) for stack in collected]]

    def _convert(self, node: ir.Node) -> list[Any]:
        inputs = tuple(None if value is None else self.value(value) for value in node.inputs)
        results = CONVERTERS[name_of(node)](OnnxNode(node, self.builder, inputs, self.version))
        listed = list(results) if isinstance(results, Sequence) else [results]
        return [self.builder.emit(each) for each in listed]

    def _branches(self, node: ir.Node) -> list[Any]:
        """If: both branches are computed, and the values of one are chosen, so both must have the same shapes."""
        chosen = []
        for name in ("then_branch", "else_branch"):
            branch = node.attributes[name].as_graph()
            self.nodes(branch)
            chosen.append([self.value(output) for output in branch.outputs])
        condition = self.builder.emit(relax.op.reshape(self.value(node.inputs[0]), ()))  # type: ignore[arg-type]
        results = []
        for first, second in zip(*chosen, strict=True):
            if shape_of(first) != shape_of(second):
                raise Refused("whose branches give values of different shapes")
            results.append(self.builder.emit(relax.op.where(condition, first, second)))
        return results

    def _refused(self, node: ir.Node, what: str, reason: str) -> None:
        self.refused.append((node, (what, reason)))
        for output in node.outputs:
            if output.shape is None or not output.shape.is_static() or output.dtype is None:
                raise UnsupportedModel(f"the TVM back end cannot run {what} ({_label(node)}): {reason}", remedy=REMEDY)
            zeros = relax.op.zeros(list(map(int, output.shape.numpy())), str(output.dtype.numpy()))
            self.values[output] = self.builder.emit(zeros)


def _check(node: ir.Node, output: ir.Value, result: Any) -> None:
    """Compare the imported shape and type with those that ONNX infers: code for another shape reads beyond buffers."""
    inferred, kind = output.shape, output.dtype
    got = wanted = (dtype_of(result), shape_of(result))
    if kind is not None:
        wanted = (str(kind.numpy()), wanted[1])
    if inferred is not None and inferred.is_static():
        wanted = (wanted[0], tuple(map(int, inferred.numpy())))
    if got != wanted:
        said, meant = (f"{dtype}{list(shape)}" for dtype, shape in (got, wanted))
        raise InternalError(f"{name_of(node)} ({_label(node)}) was imported as {said}, but ONNX infers {meant}")


def _type_of(value: ir.Value) -> relax.TensorType:
    assert value.shape is not None and value.dtype is not None
    return relax.TensorType(list(map(int, value.shape.numpy())), str(value.dtype.numpy()))


def _identifier(name: str, index: int) -> str:
    return re.sub(r"\W", "_", name) or f"input_{index}"


def _label(node: ir.Node) -> str:
    return f"node {node.name!r}" if node.name else f"the node that writes {node.outputs[0].name!r}"


def _listed(labels: list[str]) -> str:
    shown = ", ".join(labels[:3])
    return shown if len(labels) <= 3 else f"{shown} and {len(labels) - 3} more"


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
