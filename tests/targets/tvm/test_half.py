"""Half precision: packed activations and weights are stored in fp16; sums of products too where the CPU adds in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from edgec.errors import BadOption
from edgec.targets.board import load_board
from edgec.targets.tvm.cpu_model import CpuModel, cpu_model
from tests.support.lowered import MODEL, check
from tests.support.models import model, random_weights
from tests.support.tvm_artefact import compiled, require_emulator

NEON = CpuModel("neon", 4, 32, 2, 4, 32 << 10, 512 << 10, cores=4)
NEON_HALF = CpuModel("neon", 4, 32, 2, 4, 32 << 10, 512 << 10, cores=4, fp16_arithmetic=True)
MODELS = [pytest.param(each.at_precision("fp16"), id=name) for name, each in
          (("host", MODEL), ("a72", NEON), ("a76", NEON_HALF))]  # fmt: skip
STEP = 2.0**-11
"""Largest relative error of a number stored as fp16."""


def test_boards_with_arithmetic_get_twice_the_lanes() -> None:
    rpi5, rpi4 = (cpu_model(load_board(name)).at_precision("fp16") for name in ("rpi5", "rpi4"))
    assert (rpi5.lanes, rpi5.storage, rpi5.arithmetic) == (8, "float16", "float16")
    assert (rpi4.lanes, rpi4.storage, rpi4.arithmetic) == (4, "float16", "float32")
    assert cpu_model(load_board("rpi5")).at_precision("fp32").storage == "float32"


def conv(out: int, channels: int, kernel: int, **attributes: int) -> object:
    """Convolution, bias, SiLU; weights such that results have variance 1."""

    def build(x: relax.Var, rng: np.random.Generator) -> relax.Expr:
        weights = rng.normal(0, (channels * kernel**2) ** -0.5, (out, channels, kernel, kernel)).astype("float32")
        y = rng.emit(relax.op.nn.conv2d(x, relax.const(weights), **attributes))
        y = rng.emit(relax.op.add(y, relax.const(rng.standard_normal((1, out, 1, 1)).astype("float32"))))
        return relax.op.nn.silu(y)

    return build


def pools(x: relax.Var, rng: np.random.Generator) -> relax.Expr:
    y = rng.emit(relax.op.nn.max_pool2d(x, (3, 3), strides=(2, 2), padding=(1, 1)))
    z = rng.emit(relax.op.nn.avg_pool2d(x, (3, 3), strides=(2, 2), padding=(1, 1)))
    joined = rng.emit(relax.op.concat([y, z, y], axis=1))
    return relax.op.mean(joined, axis=[2, 3], keepdims=True)


def dense(x: relax.Var, rng: np.random.Generator) -> relax.Expr:
    weights = rng.normal(0, 48**-0.5, (48, 20)).astype("float32")
    return relax.op.nn.softmax(rng.emit(relax.op.matmul(x, relax.const(weights))), axis=-1)


@pytest.mark.parametrize("cpu", MODELS)
@pytest.mark.parametrize(
    ("build", "shape", "rules"),
    [
        (conv(32, 16, 3, padding=1), (1, 16, 20, 20), {"conv", "pack", "unpack"}),  # no Winograd
        (conv(24, 3, 3, strides=2), (1, 3, 21, 19), {"conv", "unpack"}),
        (conv(40, 32, 1), (2, 32, 9, 7), {"conv", "pack", "unpack"}),
        (conv(24, 1, 5, padding=2, groups=24), (1, 24, 14, 14), {"depthwise", "pack", "unpack"}),
        (conv(16, 8, 3, groups=2), (1, 16, 9, 11), {"conv", "pack", "unpack"}),
        (pools, (1, 20, 15, 15), {"pack", "pool", "concat", "global_pool", "unpack"}),
        (dense, (7, 48), {"matmul", "rows"}),
    ],
)
def test_kernels(build: object, shape: tuple[int, ...], rules: set[str], cpu: CpuModel) -> None:
    # Ten roundings in a row: inputs, weights, a sum of up to 144 random terms, the result.
    report = check(build, [shape], cpu, tolerance=10 * STEP)
    assert set(report.counts()) - {"pack"} == rules - {"pack"}
    assert not report.refusals


@pytest.mark.parametrize("cpu", MODELS)
def test_long_sums_stay_accurate(cpu: CpuModel) -> None:
    # 2304 terms, added up in fp16 on the A76: errors of random sign grow like the root of their number.
    check(conv(16, 256, 3), [(1, 256, 5, 5)], cpu, tolerance=20 * STEP)


def network() -> object:
    text = """
    half (float[1, 32, 12, 12] x) => (float[1, 48, 12, 12] y, float[1, 10] z)
    {
      a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
      y = Relu (a)
      g = GlobalAveragePool (y)
      f = Flatten (g)
      m = MatMul (f, v)
      z = Softmax <axis = 1> (m)
    }
    """
    return model(text, random_weights(w=(48, 32, 3, 3), b=(48,), v=(48, 10)))


@pytest.mark.emulation
@pytest.mark.parametrize("board", ["rpi5", "rpi4"])
def test_artefacts_keep_fp32_at_the_interface_and_halve_the_weights(board: str, tmp_path: Path) -> None:
    require_emulator()
    half = compiled(tmp_path / "half", board, network(), precision="fp16")
    whole = compiled(tmp_path / "whole", board, network())
    assert {port.dtype for port in half.manifest.inputs + half.manifest.outputs} == {"float32"}
    verification = half.verify()
    assert verification.ok
    assert 1e-6 < verification.worst < 20 * STEP
    weights = 4 * 48 * 32 * 9
    saved = (whole.folder / "model.so").stat().st_size - (half.folder / "model.so").stat().st_size
    assert saved > 0.4 * weights


def test_values_beyond_the_range_are_named(tmp_path: Path) -> None:
    text = "g (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y) <float k = {1e5}> { big = Mul (x, k) y = Sigmoid (big) }"
    problem = r"fp16: 'big', on the golden input, reaches [\d.e+]+, beyond the largest fp16 value, 65504"
    with pytest.raises(BadOption, match=problem):
        compiled(tmp_path / "out", "rpi5", model(text), precision="fp16")


def test_a_cpu_that_cannot_convert_is_refused(tmp_path: Path) -> None:
    board = tmp_path / "old.toml"
    board.write_text(
        'name = "old"\ntitle = "Old"\nbackend = "tvm"\ntriple = "x86_64-linux-gnu"\ncpu = "nehalem"\ncores = 1\n'
        'threads = 1\nmemory_mib = 512\nprecisions = ["fp32", "fp16"]\n'
    )
    with pytest.raises(BadOption, match=r"fp16 on old: its CPU \(nehalem\) has no instructions"):
        compiled(tmp_path / "out", str(board), precision="fp16")
