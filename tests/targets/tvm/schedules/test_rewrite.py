"""Edits that no schedule primitive makes, read off the code that comes out for a Cortex-A72."""

from __future__ import annotations

import re

import numpy as np
import pytest

pytest.importorskip("tvm")
import tvm
from tvm import relax

from edgec.targets.board import load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import cpu_model
from edgec.targets.tvm.pipeline import lower_with_report
from tests.support.lowered import build_module


@pytest.fixture(scope="module")
def pointwise() -> str:
    """Assembly of a 1x1 convolution with bias behind a depthwise one."""

    def build(x, normalize):
        rng = np.random.default_rng(0)
        first, weights = (rng.normal(size=shape).astype("float32") for shape in ((32, 1, 1, 1), (32, 32, 1, 1)))
        packed = relax.op.nn.conv2d(x, relax.const(first), groups=32)
        bias = relax.const(rng.normal(size=(1, 32, 1, 1)).astype("float32"))
        return relax.op.add(relax.op.nn.conv2d(packed, relax.const(weights)), bias)

    board = resolve(load_board("rpi4"))
    target = llvm_target(board)
    lowered = lower_with_report(build_module(build, [(1, 32, 14, 14)]), cpu_model(board), target)
    (name,) = (name for name, rule in lowered.report.rules.items() if rule == "conv")
    function = lowered.module[name].with_attr("global_symbol", name)
    return str(tvm.tirx.build(tvm.IRModule({name: function}), target).inspect_source("asm"))


def loop(assembly: str) -> list[str]:
    """Return the mnemonics of the loop with the most multiply-adds."""
    bodies = re.split(r"^\.L\w+:", assembly, flags=re.MULTILINE)
    loops = [re.findall(r"^\t(\w[\w.]*)", body.split("b.ne")[0], flags=re.MULTILINE) for body in bodies]
    return max(loops, key=lambda names: names.count("fmla"))


def test_loads_fill_four_registers(pointwise):
    names = loop(pointwise)
    assert names.count("ld1") == 4, "7 pixels by 2, 8 vectors of weights by 2"
    assert not {"ldp", "str", "stp"} & set(names), "no other loads, no spills"
    assert len(names) < 1.2 * names.count("fmla")


def test_sums_start_from_the_bias(pointwise):
    assert "fadd" not in pointwise
