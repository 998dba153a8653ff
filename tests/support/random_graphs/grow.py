"""`random_graph`: a valid model of a few operators and blocks on one to three inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx

from tests.support.random_graphs.blocks import BLOCKS
from tests.support.random_graphs.graph import Graph, Pick, Unfit, run_model
from tests.support.random_graphs.operators import SINGLE, Step
from tests.support.random_graphs.rare import RARE

OPSETS = (11, 12, 13, 14, 15, 16, 17, 17, 18, 19, 20, 21)
ALL: tuple[Step, ...] = (*SINGLE, *BLOCKS, *BLOCKS, *RARE)
TRIES = 60
"""Steps that are tried at most: many find nothing to start from."""


def random_graph(pick: Pick, *, steps: int = 8, operators: Sequence[Step] = ALL) -> onnx.ModelProto:
    """Return a model whose nodes ONNX Runtime has run.

    Args:
        pick: Decides everything, see `Graph`.
        steps: Operators and blocks at most.
        operators: What is drawn from.
    """
    g = Graph(pick, OPSETS[pick(0, len(OPSETS) - 1)])
    _inputs(g)
    wanted, done = pick(1, steps), 0
    for _ in range(TRIES):
        if done == wanted:
            break
        nodes, values = len(g.nodes), len(g.values)
        try:
            g.choice(operators)(g)
            done += 1
        except Unfit:
            del g.nodes[nodes:], g.values[values:]
    if not g.nodes:
        g.add("Relu", [g.inputs[0]], exact=True)
    model = _finished(g)
    run_model(model, {value.name: value.sample for value in g.inputs})
    return model


def _inputs(g: Graph) -> None:
    kind = g.pick(0, 9)
    if kind < 7:
        g.input((g.choice([1, 1, 2]), g.choice([1, 2, 3, 4, 6, 8]), g.pick(2, 9), g.pick(2, 9)))
    elif kind == 7:
        g.input((g.choice([1, 2]), g.pick(2, 9), g.choice([2, 4, 6])))
    elif kind == 8:
        g.input((g.pick(1, 3), g.pick(1, 8)))
    else:
        g.input(tuple(g.pick(1, 5) for _ in range(g.choice([1, 3, 5]))))
    if g.chance(5):
        g.input(g.choice([g.inputs[0].shape, (g.pick(1, 4),), (), (1, g.pick(1, 4), 1, 1)]))
    if g.chance(8):
        g.input(g.choice([(g.pick(1, 4),), (1, 4)]), g.choice(["int64", "int32", "bool"]))


def outer_reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that subgraphs of `node` read, their own among them."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield from (output.name for output in attribute.g.output)
            for inner in attribute.g.node:
                yield from inner.input


def _finished(g: Graph) -> onnx.ModelProto:
    """Return the model: what nobody reads is an output, and now and then what somebody reads too."""
    read = {name for node in g.nodes for name in (*node.input, *outer_reads(node))}
    inputs = {value.name for value in g.inputs}
    written = {name for node in g.nodes for name in node.output}
    made = [value for value in g.values if value.name in written and value.name not in inputs]
    outputs = [value for value in made if value.name not in read][-3:]
    if g.chance(4):
        outputs.append(g.choice(made))
    outputs = list({value.name: value for value in outputs or made[-1:]}.values())
    return g.model(outputs, bare=g.chance(10))
