"""Random valid graphs through every part of edgec, against ONNX Runtime; bench/random_graphs.py runs thousands."""

from __future__ import annotations

from collections import Counter

import onnx
import pytest

from tests.support.models import proto
from tests.support.random_graphs.found import FOUND
from tests.support.random_graphs.graph import by_seed
from tests.support.random_graphs.grow import random_graph
from tests.support.random_graphs.judge import PASSES, Fault, agree, case_of, judge
from tests.support.random_graphs.shrink import smallest

AT_FAULT = ("wrong", "crashed")


def faults(graph: onnx.ModelProto, *stages: str) -> list[str]:
    return [str(verdict) for verdict in judge(graph, stages or PASSES) if verdict.kind in AT_FAULT]


def test_a_seed_makes_the_same_graph_again() -> None:
    assert random_graph(by_seed(3)) == random_graph(by_seed(3))
    assert random_graph(by_seed(3)) != random_graph(by_seed(4))


def test_graphs_are_of_many_operators() -> None:
    drawn = Counter(node.op_type for seed in range(150) for node in random_graph(by_seed(seed)).graph.node)
    assert len(drawn) > 80
    assert min(drawn[usual] for usual in ("Conv", "MatMul", "Concat", "Slice", "Reshape", "Transpose", "Softmax")) > 5


@pytest.mark.parametrize("seeds", [range(first, first + 20) for first in range(0, 100, 20)], ids=str)
def test_rewrites_compute_the_same(seeds: range) -> None:
    for seed in seeds:
        assert not faults(random_graph(by_seed(seed)), "canonicalize", "opened", "tensorrt", "slice"), seed


@pytest.mark.parametrize("seeds", [range(first, first + 20) for first in range(100, 160, 20)], ids=str)
def test_compression_leaves_networks_that_run(seeds: range) -> None:
    for seed in seeds:
        assert not faults(random_graph(by_seed(seed)), "quantize", "prune"), seed


@pytest.mark.parametrize("name", [name for name, (stages, _, _) in FOUND.items() if "cpu" not in stages])
def test_what_was_found_stays_mended(name: str) -> None:
    stages, opset, text = FOUND[name]
    assert not faults(proto(text, opset=opset), *stages)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (stages, _, _) in FOUND.items() if "cpu" in stages])
def test_what_was_found_on_the_cpu_stays_mended(name: str) -> None:
    pytest.importorskip("tvm")
    stages, opset, text = FOUND[name]
    assert not faults(proto(text, opset=opset), *stages)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(first, first + 8) for first in range(200, 224, 8)], ids=str)
def test_the_lowering_for_cpus_computes_the_same(seeds: range) -> None:
    pytest.importorskip("tvm")
    for seed in seeds:
        assert not faults(random_graph(by_seed(seed)), "cpu"), seed


def test_a_wrong_output_is_seen_and_its_graph_becomes_small() -> None:
    graph = random_graph(by_seed(5))
    assert len(graph.graph.node) > 3
    case = case_of(graph)
    agree(case, lambda feeds: case.expected[0 if feeds is case.feeds[0] else 1], 1e-5)
    with pytest.raises(Fault):
        agree(case, lambda feeds: {name: array + 1 for name, array in case.expected[0].items()}, 1e-5)
    kind = next(node.op_type for node in graph.graph.node if node.op_type != "Constant")
    part = smallest(graph, lambda each: any(node.op_type == kind for node in each.graph.node))
    assert [node.op_type for node in part.graph.node if node.op_type != "Constant"] == [kind]
