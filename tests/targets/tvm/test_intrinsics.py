"""The functions of one float that kernels call, in vectors of every width, against numpy in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("tvm")
import tvm
from tvm import te, tirx
from tvm.s_tir import Schedule

from edgec.targets.tvm import intrinsics
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.offsets import PIPELINE
from edgec.targets.tvm.schedules.common.kernel import finish
from tests.support.lowered import HOST

EXACT = {
    "exp": np.exp,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "coarse_sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf),
    "log": lambda x: np.log(np.abs(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "coarse_silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
}
RELATIVE = {"coarse_sigmoid": 1e-5, "coarse_silu": 1e-5}
COUNT = 4096


def apply(names, x: np.ndarray, lanes: int) -> list[np.ndarray]:
    """Return the functions `names` of `x`, computed `lanes` at a time."""
    source = te.placeholder((COUNT,), name="x")
    stages = [_stage(source, name, f"out{at}") for at, name in enumerate(names)]
    sch = Schedule(te.create_prim_func([source, *stages]))
    for at in range(len(stages)):
        _, inner = sch.split(sch.get_loops(sch.get_sblock(f"out{at}"))[0], [None, lanes])
        if lanes > 1:
            sch.vectorize(inner)
    function = finish(sch).with_attr("global_symbol", "main")
    library = tvm.tirx.build(tvm.IRModule({"main": function}), llvm_target(resolve(HOST)), pipeline=PIPELINE)
    results = [tvm.runtime.tensor(np.zeros(COUNT, np.float32)) for _ in stages]
    library["main"](tvm.runtime.tensor(x), *results)
    return [result.numpy() for result in results]


def _stage(source: te.Tensor, function: str, name: str) -> te.Tensor:
    return te.compute((COUNT,), lambda i: getattr(intrinsics, function)(source[i]), name=name)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_functions_are_what_their_names_say(lanes):
    x = np.random.default_rng(0).normal(size=COUNT).astype(np.float32) * 6
    x[:4] = 0.0, 80.0, -80.0, 1e-6
    names = list(EXACT)
    for name, got in zip(names, apply(names, x, lanes), strict=True):
        inside = x > 0 if name == "log" else slice(None)
        expected = EXACT[name](x[inside].astype(np.float64))
        np.testing.assert_allclose(got[inside], expected, rtol=RELATIVE.get(name, 1e-6), atol=3e-7, err_msg=name)


def test_ends_of_the_range():
    x = np.zeros(COUNT, np.float32)
    x[:6] = np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-40
    exp, log, tanh, erf, gelu = (got[:6] for got in apply(["exp", "log", "tanh", "erf", "gelu"], x, 8))
    assert np.isnan([exp[0], log[0], tanh[0], erf[0], gelu[0], log[4]]).all()
    assert (gelu[1], gelu[3]) == (np.inf, 0.0) and gelu[2] == pytest.approx(0.0, abs=1e-20)
    assert exp[1] == pytest.approx(math.exp(88), rel=1e-5) and 0 < exp[2] < 2e-38
    assert log[1] == np.inf and log[2] != log[2] and log[3] == -np.inf
    assert log[5] == pytest.approx(math.log(1e-40), rel=1e-3)
    assert (tanh[1], tanh[2], erf[1], erf[2]) == (1.0, -1.0, 1.0, -1.0)


def test_only_what_is_called_is_defined():
    x = te.placeholder((8,), name="x")
    sch = Schedule(te.create_prim_func([x, te.compute((8,), lambda i: intrinsics.exp(x[i]), name="y")]))
    text = str(finish(sch).body.block.body.value.value)
    assert "edgec_exp_1" in text and "sigmoid" not in text
    plain = Schedule(te.create_prim_func([x, te.compute((8,), lambda i: x[i] + 1.0, name="y")]))
    assert not isinstance(finish(plain).body.block.body, tirx.AttrStmt)
