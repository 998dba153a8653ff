"""Loops that are too long to be written out: their body is a function, called once a turn."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("tvm")

from edgec.errors import UnsupportedModel
from edgec.model.signature import inputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import lower_with_report
from tests.support.lowered import HOST, MODEL, execute
from tests.support.models import model

TARGET = llvm_target(resolve(HOST))
CONV = "Conv <pads = [1, 1, 1, 1]>"
CASES = {
    "that collects": """y = Loop (turns, yes) <body = b (int64 at, bool go) => (bool still, float[4, 8, 8] o) {
        still = Identity (go)  i = Mod (at, four)  row = Gather <axis = 1> (c, i)  s = Squeeze (row, zeroth)
        k = Unsqueeze (s, zeroth)  o = Mul (k, w1) }>""",
    "that carries": """a, y = Loop (turns, yes, c) <body = b (int64 at, bool go, float[1, 4, 8, 8] v)
        => (bool still, float[1, 4, 8, 8] o, float[1, 4, 8, 8] z) {
        still = Identity (go)  h = Conv <pads = [1, 1, 1, 1]> (v, w4)  o = Tanh (h)  z = Add (o, c) }>""",
    "in a loop": """y = Loop (turns, yes) <body = b (int64 at, bool go) => (bool still, float[1, 4, 8, 8] o) {
        still = Identity (go)
        e = Loop (four, go, c) <body = d (int64 n, bool on, float[1, 4, 8, 8] v) => (bool more, float[1, 4, 8, 8] q) {
            more = Identity (on)  q0 = Add (v, c)  f = Cast <to = 1> (at)  q = Div (q0, half) }>
        o = Relu (e) }>""",
    "of branches": """y = Loop (turns, yes) <body = b (int64 at, bool go) => (bool still, float[1, 4, 8, 8] o) {
        still = Identity (go)  early = Less (at, four)
        o = If (early) <then_branch = t () => (float[1, 4, 8, 8] p) { p = Relu (c) },
                        else_branch = u () => (float[1, 4, 8, 8] q) { q = Neg (c) }> }>""",
}


def network(body: str) -> ir.Model:
    rng = np.random.default_rng(0)
    constants = """int64 turns = {7}, bool yes = {1}, int64 four = {4}, int64[1] zeroth = {0}, float half = {0.5}"""
    weights = {name: rng.standard_normal(shape, np.float32) for name, shape in (
        ("w", (4, 3, 3, 3)), ("w4", (4, 4, 3, 3)), ("w1", (4, 1, 1)))}  # fmt: skip
    text = f"g (float[1, 3, 8, 8] x) => (float[a, b, d, e] y) <{constants}> {{ c = {CONV} (x, w)  {body} }}"
    return model(text.replace("float[a, b, d, e]", "float[7, 4, 8, 8]" if "k = " in body else "float[7, 1, 4, 8, 8]"),
                 weights)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_loop(name: str) -> None:
    made = network(CASES[name])
    feeds = random_inputs(inputs_of(made), 0)
    lowered = lower_with_report(to_relax(made), MODEL, TARGET)
    (result,) = execute(lowered.module, TARGET, [feeds["x"]])
    found = compare(Reference(made).run(feeds), {"y": result})
    assert found.within(1e-5), str(found)
    assert not lowered.report.refusals


def test_a_loop_that_its_body_ends_is_refused_by_name() -> None:
    made = network("""y = Loop (turns, yes) <body = b (int64 at, bool go) => (bool still, float[1, 4, 8, 8] o) {
        m = ReduceMax <keepdims = 0> (x)  still = Less (m, half)  o = Relu (c) }>""")
    with pytest.raises(UnsupportedModel, match="Loop with a number of iterations that depends on the data"):
        to_relax(made)
