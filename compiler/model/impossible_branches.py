"""`If` of which one branch cannot run at the shapes that were given: the other is taken."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.errors import BadModel
from edgec.model.control_flow import is_control_flow
from edgec.model.graph import attribute, label, subgraphs
from edgec.model.infer import infer_shapes, resolve_all
from edgec.model.shape_values import known_value, shape_values
from edgec.progress import logger


def take_possible_branches(model: ir.Model) -> None:
    """Resolve, in place, each If whose condition depends on the data, but of which one branch alone fits the shapes.

    A network with a branch for each rate of sampling, say, takes another number of samples in each: a runtime ends
    with an error when the data choose the other one. Says in a warning what is assumed.

    Args:
        model: With static inputs, shapes inferred and all control flow resolved that they decide.
    """
    place = _next_if(model, 0)
    while place is not None:
        failures = {
            taken: reason for taken in (True, False) if (reason := _failure(model, _branch(model, place, taken)))
        }
        if len(failures) == 1:
            ((failed, reason),) = failures.items()
            branch = "then_branch" if failed else "else_branch"
            where = f"If node {label(model.graph[place])!r}"
            logger.warning("%s: its %s cannot run at these shapes and counts as never taken: %s", where, branch, reason)
            _decide(model, place, not failed)
            infer_shapes(model)
            resolve_all(model)
            place = _next_if(model, 0)
        else:
            place = _next_if(model, place + 1)


def _next_if(model: ir.Model, place: int) -> int | None:
    nodes = list(model.graph)
    return next((at for at in range(place, len(nodes)) if nodes[at].op_type == "If" and nodes[at].domain == ""), None)


def _failure(model: ir.Model, branch: ir.Graph) -> str | None:
    """Return why `branch` cannot run; None where that is not known."""
    trial = _alone(model, branch)
    try:
        infer_shapes(trial)
        resolve_all(trial)
        _cut_undecided(trial.graph)
        infer_shapes(trial)
    except BadModel as error:
        return error.problem
    return None


def _alone(model: ir.Model, branch: ir.Graph) -> ir.Model:
    """Return a copy of `branch` as a model: what it reads of the graph around it are constants or inputs."""
    graph = branch.clone(allow_outer_scope_values=True)
    graph.opset_imports.update(model.graph.opset_imports)
    known = shape_values(model)
    nodes = list(graph.all_nodes())
    inside = {value for node in nodes for value in node.outputs} | set(graph.initializers.values())
    inside |= {
        value for node in nodes for body in subgraphs(node) for value in (*body.inputs, *body.initializers.values())
    }
    stand_ins: dict[ir.Value, ir.Value] = {}
    for node in nodes:
        for index, value in enumerate(node.inputs):
            if value is None or value in inside:
                continue
            if value not in stand_ins:
                array = known_value(value, known)
                tensor = None if array is None else ir.tensor(array, name=value.name)
                stand_ins[value] = ir.val(value.name or "", shape=value.shape, type=value.type, const_value=tensor)
            node.replace_input_with(index, stand_ins[value])
    outputs = [value for value in graph.outputs if value in inside]
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    for value in stand_ins.values():
        if value.const_value is None:
            graph.inputs.append(value)
        else:
            graph.register_initializer(value)
    return ir.Model(graph, ir_version=model.ir_version)


def _cut_undecided(graph: ir.Graph) -> None:
    """Remove the control flow that is left and what reads it: beside any, inference overlooks faults."""
    cut: list[ir.Node] = []
    gone: set[ir.Value | None] = set()
    for node in graph:
        if is_control_flow(node) or not gone.isdisjoint(node.inputs):
            cut.append(node)
            gone.update(node.outputs)
    kept = [value for value in graph.outputs if value not in gone]
    graph.outputs.clear()
    graph.outputs.extend(kept)
    for node in cut:
        for inner in (each for body in subgraphs(node) for each in body.all_nodes()):
            inner.resize_inputs(0)
    graph.remove(cut, safe=True)


def _branch(model: ir.Model, place: int, taken: bool) -> ir.Graph:
    return attribute(model.graph[place], "then_branch" if taken else "else_branch")  # type: ignore[no-any-return]


def _decide(model: ir.Model, place: int, taken: bool) -> None:
    node = model.graph[place]
    name = f"{node.outputs[0].name}_taken_{taken}"
    condition = ir.val(name, const_value=ir.tensor(np.array(taken), name=name))
    model.graph.register_initializer(condition)
    node.replace_input_with(0, condition)
