"""Compression within a time: by an estimate of the board, alone and together with an accepted loss."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgec.compress.compress import compress
from edgec.compress.compressed import Compressed
from edgec.compress.settings import competing, implied_options
from edgec.errors import BadOption
from edgec.model.cost import LayerCost, layer_costs
from edgec.options import compile_options
from edgec.passes.prepare import prepare
from edgec.profile import Emulation, Profile
from edgec.record import Record
from tests.passes.quantize_support import pictures, small

MS = 1e-3


def estimate(layers: Sequence[LayerCost], precision: str, in_float: Collection[str] = ()) -> tuple[float, ...]:
    """Return a millisecond for a million multiply-accumulates in float, half of it in int8."""
    return tuple(
        layer.macs * 1e-9 / (2 if precision == "int8" and layer.name not in in_float else 1) for layer in layers
    )


def in_half(model: ir.Model, samples: Any) -> Emulation:
    """Return `model` itself: halves lose nothing here."""
    return Emulation(model.clone(), frozenset())


INTEGERS = Profile(precisions=("fp32", "int8"), estimate=estimate)


def compressed(folder: Path, profile: Profile = INTEGERS, **given: Any) -> tuple[Compressed, Record]:
    """Compress the small network, whose float time is `whole_ms()`, with unlabelled pictures."""
    data = folder / "data.npy"
    np.save(data, np.concatenate([sample.inputs["image"] for sample in pictures(20)]))
    asked = compile_options({"target": "board", "data": str(data), **given})
    options, record = implied_options(asked, profile), Record()
    formats = competing(asked, profile)
    model = prepare(small())
    done = compress(model, options, profile, record, formats=formats, path=None, journal=folder / "sensitivity.jsonl")
    return done, record


def whole_ms() -> float:
    """Return the estimated milliseconds of the small network in float."""
    return sum(estimate(layer_costs(prepare(small())), "fp32")) / MS


def ms(done: Compressed) -> float:
    return sum(estimate(layer_costs(done.network), done.precision, done.in_float)) / MS


def test_with_enough_time_the_network_stays_as_it_is(tmp_path: Path) -> None:
    done, record = compressed(tmp_path, max_latency=2 * whole_ms())
    assert done.precision == "fp32"
    assert done.pruned is None
    assert record.compression is not None
    assert record.compression.loss == 0


@pytest.mark.parametrize("share", [0.8, 0.4, 0.25])
def test_a_time_is_kept_and_its_loss_measured_on_held_out_samples(tmp_path: Path, share: float) -> None:
    done, record = compressed(tmp_path, max_latency=share * whole_ms())
    assert ms(done) <= share * whole_ms()
    assert record.compression is not None
    assert (record.compression.held_out, record.compression.accepted) == (8, None)
    assert (record.compression.loss or 0) > 0


def test_a_precision_that_is_given_stays(tmp_path: Path) -> None:
    done, _ = compressed(tmp_path, max_latency=0.6 * whole_ms(), precision="fp32")
    assert done.precision == "fp32"
    assert done.pruned is not None
    assert ms(done) <= 0.6 * whole_ms()


def test_halves_are_taken_where_they_are_fast_enough(tmp_path: Path) -> None:
    def twice(layers: Sequence[LayerCost], precision: str, in_float: Collection[str] = ()) -> tuple[float, ...]:
        return tuple(each / (2 if precision == "fp16" else 1) for each in estimate(layers, "fp32"))

    halves = Profile(precisions=("fp32", "fp16"), estimate=twice, in_half=in_half)
    done, _ = compressed(tmp_path, halves, max_latency=0.6 * whole_ms())
    assert (done.precision, done.pruned) == ("fp16", None)


def test_a_loss_and_a_time_are_both_kept(tmp_path: Path) -> None:
    done, record = compressed(tmp_path, max_loss=0.3, max_latency=0.5 * whole_ms())
    assert ms(done) <= 0.5 * whole_ms()
    assert record.compression is not None
    assert (record.compression.loss or 0) <= 0.3


def test_a_loss_and_a_time_that_contradict_each_other_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"no network was found that loses at most 0.001 and takes at most") as raised:
        compressed(tmp_path, max_loss=0.001, max_latency=0.2 * whole_ms())
    found = re.search(r"within the loss takes ([\d.e-]+) ms \(loss ([\d.]+)\)", raised.value.problem)
    assert found is not None
    assert float(found[1]) > 0.2 * whole_ms()
    assert float(found[2]) <= 0.001
    assert re.search(r"--max-latency [\d.e-]+, or --max-loss [\d.]+", raised.value.remedy or "")


@pytest.mark.parametrize(
    ("given", "profile", "message"),
    [
        ({"max_latency": 1e-9}, INTEGERS, "is the least that was found"),
        ({"max_latency": 1.0}, Profile(), "does not estimate the time of board"),
        ({"max_latency": 1.0, "prune": {"ratio": 0.5}}, INTEGERS, "--max-latency and --prune ratio"),
        ({"max_latency": 1.0, "data": None}, INTEGERS, "--max-latency needs pictures"),
    ],
)
def test_refusals(tmp_path: Path, given: dict[str, Any], profile: Profile, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        compressed(tmp_path, profile, **given)
