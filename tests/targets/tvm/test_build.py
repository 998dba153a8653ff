"""Lowered modules to object files: how the kernels are spread, and what is folded before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm import relax, tirx

from edgec.targets.tvm.build import PARTS, SMALLEST_PART, build
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.pipeline import lower_with_report
from edgec.targets.tvm.regions.fold import fold
from edgec.targets.tvm.regions.graph import read_graph
from edgec.targets.tvm.schedules.common.kernel import SIMPLIFIED
from tests.support.lowered import HOST, MODEL, build_module


def chain(count: int) -> tvm.IRModule:
    """`count` pointwise convolutions of different widths: as many kernels."""

    def network(x: relax.Var, rng: np.random.Generator) -> relax.Expr:
        for channels in range(8, 8 + count):
            weights = rng.standard_normal((channels, int(x.ty.shape[1]), 1, 1)).astype("float32")
            x = rng.emit(relax.op.nn.conv2d(x, relax.const(weights)))
        return x

    return build_module(network, [(1, 8, 3, 3)])


@pytest.mark.parametrize(("layers", "parts"), [(1, 1), (3 * SMALLEST_PART, 3)])
def test_kernels_are_spread_over_parts_of_a_least_size(layers: int, parts: int, tmp_path: Path) -> None:
    board = resolve(HOST)
    lowered = lower_with_report(chain(layers), MODEL, llvm_target(board))
    assert len(build(lowered.module, board, tmp_path).object_files) == min(PARTS, parts)


@pytest.mark.parametrize(("groups", "simplified"), [(1, 0), (2, 1)])
def test_tvm_simplifies_unrolled_loops_of_grouped_convolutions_only(groups: int, simplified: int) -> None:
    def network(x: relax.Var, rng: np.random.Generator) -> relax.Expr:
        weights = rng.standard_normal((32, 32 // groups, 1, 1)).astype("float32")
        return relax.op.nn.conv2d(x, relax.const(weights), groups=groups)

    lowered = lower_with_report(build_module(network, [(1, 32, 4, 4)]), MODEL, llvm_target(resolve(HOST)))
    kernels = [function for function in lowered.module.functions.values() if isinstance(function, tirx.PrimFunc)]
    assert sum(SIMPLIFIED in kernel.attrs for kernel in kernels) == simplified


def folded(build: object) -> tuple[bool, list[str]]:
    graph = read_graph(build_module(build, [(2, 3)])["main"])
    return fold(graph), [node.op for node in graph.nodes]


def test_constants_are_folded_by_numpy() -> None:
    def shifted(x: relax.Var, rng: np.random.Generator) -> relax.Expr:
        bias = rng.emit(relax.op.reshape(relax.const(np.ones((3,), "float32")), (1, 3)))
        return relax.op.add(x, rng.emit(relax.op.multiply(bias, relax.const(np.full((1, 3), 2, "float32")))))

    assert folded(shifted) == (True, ["relax.add"])


def test_what_numpy_might_compute_otherwise_is_left_to_tvm() -> None:
    def sines(x: relax.Var, rng: np.random.Generator) -> relax.Expr:
        return relax.op.add(x, rng.emit(relax.op.sin(relax.const(np.ones((2, 3), "float32")))))

    assert folded(sines) == (False, ["relax.sin", "relax.add"])


def test_building_a_kernel_of_topi_prints_no_warning(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def network(x: relax.Var, rng: np.random.Generator) -> relax.Expr:
        indices, updates = relax.const(np.array([[1, 3]])), relax.const(np.ones((1, 2), "float32"))
        return relax.op.scatter_elements(x, indices, updates, axis=1)

    board = resolve(HOST)
    lowered = lower_with_report(build_module(network, [(1, 8)]), MODEL, llvm_target(board))
    capfd.readouterr()
    build(lowered.module, board, tmp_path)
    assert capfd.readouterr().err == ""
