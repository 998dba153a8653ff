"""Register tiles of integer kernels: pure functions of the CPU, and weights in the order the kernels read them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.schedules.common.tiles import ConvTile, reduction_step
from edgec.targets.tvm.schedules.float.conv_plan import ConvShape
from edgec.targets.tvm.schedules.int8.byte_products import fit_pairs
from edgec.targets.tvm.schedules.int8.conv_plan import dot_tile, dots_fit_registers, pack_dot_weights, plan_by_rule
from edgec.targets.tvm.schedules.int8.conv_widening import pack_weights
from edgec.targets.tvm.schedules.int8.conv_widening import plan_by_rule as widening_plan
from edgec.targets.tvm.schedules.int8.depthwise import pack_taps

VNNI = CpuModel("avx512", 16, 32, 2, 4, 48 << 10, 1 << 20, cores=1, dot_product="vnni")
A76 = CpuModel("neon", 4, 32, 2, 4, 64 << 10, 512 << 10, cores=1, dot_product="sdot")
A72 = CpuModel("neon", 4, 32, 2, 4, 32 << 10, 256 << 10, cores=1)
POINTWISE = ConvShape(1, 64, 14, 14, 128, 14, 14, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, packed_input=True)


@pytest.mark.parametrize("model", [VNNI, A76], ids=["vnni", "sdot"])
@pytest.mark.parametrize("blocks", [1, 2, 3, 6, 24])
@pytest.mark.parametrize("width", [1, 7, 13, 52, 196])
def test_tiles_fit_the_registers(blocks: int, width: int, model: CpuModel) -> None:
    tile = dot_tile(blocks, width, model)
    assert dots_fit_registers(tile.vectors, tile.pixels, model)
    assert tile.pixels % (4 if model is A76 else 1) == 0


def test_tiles_keep_the_dot_products_busy() -> None:
    for model, width in ((VNNI, 26), (VNNI, 52), (A76, 52), (A76, 208)):
        tile = dot_tile(6, width, model)
        assert 20 <= tile.vectors * tile.pixels <= 28


def test_types_of_activations_are_those_the_cpu_multiplies() -> None:
    assert (VNNI.byte_type, A76.byte_type, A72.byte_type) == ("uint8", "int8", "int8")
    assert CpuModel("avx2", 8, 16, 2, 4, 32 << 10, 256 << 10, cores=1, dot_product="pairs").byte_type == "uint8"
    assert CpuModel("sse", 4, 16, 1, 4, 32 << 10, 256 << 10, cores=1).byte_type is None


def test_pointwise_convolutions_see_rows_as_one() -> None:
    for choice in (plan_by_rule(POINTWISE, VNNI), plan_by_rule(POINTWISE, A76), widening_plan(POINTWISE, A72)):
        assert choice.flat
        assert choice.columns >= 196
    assert widening_plan(POINTWISE, A72).tile == ConvTile(4, 2)


def test_weights_lie_in_the_order_they_are_read() -> None:
    weights = np.arange(-60, 60, dtype=np.int8).reshape(5, 6, 2, 2)
    packed = pack_dot_weights(weights, reduction_step(8, 8), 4, 2)
    assert packed.shape == (1, 1, 2, 2, 2, 2, 4, 4)
    for k, c, r, s in np.ndindex(weights.shape):
        assert packed[0, 0, r, s, c // 4, k // 4, k % 4, c % 4] == weights[k, c, r, s]
    assert packed.astype(int).sum() == weights.astype(int).sum()
    halves = pack_weights(weights, quads=2, vectors=1)
    assert halves.shape == (2, 1, 2, 2, 1, 2, 2, 2, 4)
    assert halves[1, 0, 1, 0, 0, 0, 1, 0, 1] == weights[4, 5, 1, 0]
    taps = pack_taps(weights[:, :1], 4)
    assert taps.shape == (2, 2, 1, 4, 4)
    assert taps[1, 1, 0, 0].tolist() == [*weights[4, 0, 1], 0, 0]


def test_pairs_of_weights_fit_where_no_activations_saturate_their_sum() -> None:
    assert fit_pairs(np.array([[64, 64, -64, -64], [127, -127, 1, 0], [128 - 256, 0, 0, 0]], np.int8))
    assert not fit_pairs(np.array([[100, 29, 0, 0]], np.int8))
    assert not fit_pairs(np.array([[0, 0, -1, -128]], np.int8))
