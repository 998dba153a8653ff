"""Tile choice is arithmetic on the target model: checked without compiling anything."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("tvm")
from edgec.targets.board import load_board
from edgec.targets.tvm.cpu_model import CpuModel, cpu_model, model_of
from edgec.targets.tvm.packed_layout import block_of
from edgec.targets.tvm.schedules.common.tiles import (
    ConvTile,
    conv_tile,
    depthwise_pixels,
    fits_registers,
    flat_chunks,
    loads_fit,
    reduction_step,
    task_rows,
    unevenness,
)
from edgec.targets.tvm.schedules.float.conv_plan import ConvShape, plan_by_rule, weight_bytes
from edgec.targets.tvm.schedules.float.winograd_plan import Network, direct_cycles, pays, winograd_cycles
from edgec.targets.tvm.schedules.float.winograd_plan import plan_by_rule as winograd_plan

AVX512 = CpuModel("avx512", 16, 32, 2, 4, 48 << 10, 1 << 20, cores=2)
ZEN4 = CpuModel("avx512", 16, 32, 2, 4, 32 << 10, 1 << 20, cores=2, half_width_same_peak=True)
AVX2 = CpuModel("avx2", 8, 16, 2, 4, 32 << 10, 256 << 10, cores=4)
NEON = CpuModel("neon", 4, 32, 2, 4, 32 << 10, 512 << 10, cores=4)


def shape_of(cin: int, size: int, out: int, kernel: int, *, groups: int = 1, stride: int = 1) -> ConvShape:
    after, pad = -(-size // stride), kernel // 2
    return ConvShape(
        1,
        cin,
        size,
        size,
        out,
        after,
        after,
        (kernel,) * 2,
        (stride,) * 2,
        (1, 1),
        (pad,) * 4,
        groups,
        packed_input=True,
    )


@pytest.mark.parametrize(
    ("channels", "model", "block"),
    [(1, AVX512, 4), (5, AVX512, 8), (16, AVX512, 16), (24, AVX512, 16), (24, ZEN4, 8), (24, AVX2, 8), (3, NEON, 4)],
)
def test_block(channels, model, block):
    assert block_of(channels, model) == block


@pytest.mark.parametrize(("channels", "step"), [(48, 16), (24, 8), (12, 4), (3, 1), (17, 1)])
def test_reduction_skips_padded_lanes(channels, step):
    assert reduction_step(channels, 16) == step


@pytest.mark.parametrize("model", [AVX512, AVX2, NEON], ids=lambda model: model.isa)
@pytest.mark.parametrize("blocks", [1, 2, 3, 6, 17, 63])
@pytest.mark.parametrize("width", [1, 7, 13, 52, 113])
def test_tiles_fit_the_registers(model, blocks, width):
    tile = conv_tile(blocks, width, model.lanes, model)
    assert fits_registers(tile.vectors, tile.pixels, model)
    exact = conv_tile(blocks, width, model.lanes, model, exact=True)
    assert width % exact.pixels == 0


def test_tiles_of_known_layers():
    assert conv_tile(6, 26, 16, AVX512) == ConvTile(2, 13)
    tile = conv_tile(63, 169, 16, AVX512)
    assert tile.vectors > 1, "blocks that are a prime number may be padded"


def test_neon_tile_keeps_to_the_budget_measured():
    assert not fits_registers(2, 10, NEON) and fits_registers(2, 9, NEON)


@pytest.mark.parametrize("rows", [13, 26, 104, 7])
def test_tasks_divide_evenly_or_not_at_all(rows):
    count = task_rows(rows, 1000, AVX512)
    assert count is None or (rows % count == 0 and rows // count >= 8)


def test_depthwise_pixels_prefer_no_waste():
    assert depthwise_pixels(20, 9, AVX512) == 5 and depthwise_pixels(16, 9, AVX512) == 8


def test_pointwise_rows_are_fused():
    assert plan_by_rule(shape_of(96, 26, 96, 1), AVX512).flat
    assert not plan_by_rule(shape_of(96, 26, 96, 1, stride=2), AVX512).flat


def test_weights_beyond_the_cache_are_read_once():
    one_core = dataclasses.replace(AVX512, cores=1)
    large, small = shape_of(512, 14, 512, 3, stride=2), shape_of(64, 112, 64, 3, stride=2)
    assert plan_by_rule(large, one_core).rows == large.out_height and plan_by_rule(large, AVX512).rows is None
    assert plan_by_rule(small, one_core).rows not in (None, small.out_height)
    assert weight_bytes(large, plan_by_rule(large, AVX512).tile.vectors * 16) < AVX512.l2


def test_tiles_of_groups_that_are_no_multiple_of_a_vector_are_narrow():
    # 68 channels a group: of the 17 single vectors 3 lie in two groups, of tiles of three vectors all do.
    assert plan_by_rule(shape_of(272, 14, 272, 1, groups=4), AVX512).tile.vectors == 1


def test_a_layer_says_what_it_is():
    assert str(shape_of(96, 26, 192, 3, stride=2)) == "96x26x26 > 192x13x13, 3x3 /2x2"
    assert str(shape_of(64, 7, 64, 1, groups=4)) == "64x7x7 > 64x7x7, 1x1 groups 4"


def test_winograd_pays_on_wide_layers_only():
    def ratio(shape: ConvShape) -> float:
        return winograd_cycles(shape, winograd_plan(shape, AVX512), AVX512) / direct_cycles(shape, AVX512)

    assert ratio(shape_of(96, 52, 96, 3)) < 0.5
    assert ratio(shape_of(512, 7, 512, 3)) > 0.85, "each weight would be read for four tiles"


def test_winograd_may_enlarge_the_weights_only_for_time():
    early, late = shape_of(96, 26, 96, 3), shape_of(192, 13, 192, 3)
    assert pays(early, AVX512) and pays(late, AVX512), "both are faster"
    network = Network(cycles=50 * direct_cycles(late, AVX512), weight_bytes=10_000_000)
    assert pays(early, AVX512, network), "1 % of the time for 10 % more weights"
    assert not pays(late, AVX512, network), "1 % of the time for 40 % more weights"


def test_loads_of_four_registers_need_room():
    assert loads_fit(ConvTile(2, 8), NEON), "16 sums, 8 pixels and 8 weights are all there is"
    assert not loads_fit(ConvTile(4, 5), NEON)
    assert not loads_fit(ConvTile(3, 5), NEON), "three vectors of weights a channel"


def test_model_from_features():
    assert model_of({"neon", "dotprod"}, cpu="cortex-a76", l1=1, l2=1, cores=4).dot_product == "sdot"
    assert model_of({"avx2", "fma"}, cpu="haswell", l1=1, l2=1, cores=4).lanes == 8
    assert model_of({"avx512f"}, cpu="znver4", l1=1, l2=1, cores=4).half_width_same_peak
    assert model_of(set(), cpu="x86-64", l1=1, l2=1, cores=1).isa == "sse"


def test_model_of_a_board():
    model = cpu_model(load_board("rpi4"))
    assert (model.isa, model.lanes, model.l1, model.l2) == ("neon", 4, 32 << 10, 256 << 10)


def test_chunks_of_pixels_divide_evenly_over_the_cores():
    two, one = (dataclasses.replace(AVX512, cores=cores) for cores in (2, 1))
    assert flat_chunks(11, 7, one) == 1
    assert flat_chunks(12, 7, two) == 1  # enough, and even
    assert flat_chunks(11, 7, two) == 7  # 11 would leave one core idle for a task: 77
    assert flat_chunks(1, 8, two) == 8
    assert flat_chunks(1, 5, two) == 5  # as even as it gets
    assert unevenness(13, two) == 14 / 13


@pytest.mark.parametrize("blocks", [1, 7, 11])
def test_without_embedded_broadcasts_the_pixels_of_a_tile_take_registers_too(blocks):
    tile = conv_tile(blocks, 56, AVX2.lanes, AVX2)
    broadcasts = 1 if tile.vectors > 1 else tile.pixels
    assert tile.vectors * tile.pixels + broadcasts <= AVX2.registers
