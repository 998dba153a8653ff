"""FP16 emulated on the host: layers that overflow or lose too much are found and stay in FP32."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

import edgec
from edgec.model.signature import inputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import SAMPLES, random_inputs
from edgec.reference.session import Reference
from edgec.targets.tensorrt.half import HalfPlan, in_half, plan_half
from edgec.targets.tensorrt.legalize.names import plain_names
from edgec.targets.tensorrt.prepare import PICTURES
from tests.support.models import model, random_weights, saved
from tests.support.tensorrt_board import write_artefact

WEIGHTS = random_weights(w=(4, 3, 3, 3), b=(4,))
CONV = "c = Conv <pads = [1, 1, 1, 1]> (x, w, b)"


def network(rest: str, **constants: Any) -> ir.Model:
    text = f"net (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) {{ {CONV}  {rest} }}"
    made = model(text, WEIGHTS | {name: np.array(value, np.float32) for name, value in constants.items()})
    plain_names(made)
    return made


def plan(made: ir.Model, tolerance: float = 1e-2) -> HalfPlan:
    return plan_half(made, [random_inputs(inputs_of(made), seed) for seed in range(2)], tolerance)


def test_a_network_that_fits_needs_no_pins() -> None:
    found = plan(network("y = Relu (c)"))
    assert found.pins == ()
    assert 0 < found.loss == found.loss_unpinned < 1e-3


def test_an_overflowing_layer_and_its_reader_are_pinned() -> None:
    found = plan(network("big = Mul (c, k)  root = Div (big, k)  y = Relu (root)", k=5e4))
    assert [pin.op_type for pin in found.pins] == ["Mul", "Div"]
    assert "'big' reaches" in found.pins[0].reason
    assert np.isinf(found.loss_unpinned)
    assert found.loss < 1e-2


def test_values_that_nearly_overflow_are_pinned_too() -> None:
    """Pictures that were not seen may hold values twice as large."""
    factor = 50000 / abs(next(iter(_peak(network("y = Relu (c)")))))
    assert [pin.op_type for pin in plan(network("big = Mul (c, k)  y = Div (big, k)", k=factor)).pins] == ["Mul", "Div"]


def _peak(made: ir.Model) -> list[float]:
    from edgec.reference.session import Reference

    feeds = random_inputs(inputs_of(made), 0)
    return [float(array.max()) for array in Reference(made).run(feeds).values()]


def test_squares_inside_a_normalization_count() -> None:
    """LayerNormalization squares what it reads: 300 fits FP16, 90000 does not."""
    made = network("big = Mul (c, k)  y = LayerNormalization <axis = -1> (big, s)", k=300.0, s=np.ones(8))
    pin = next(pin for pin in plan(made).pins if pin.op_type == "LayerNormalization")
    assert "squares" in pin.reason


def test_a_layer_that_cancels_is_pinned() -> None:
    """c + 2000 - 2000 keeps 3 bits of c in FP16: not an overflow, but a loss."""
    made = network("up = Add (c, k)  down = Sub (up, k)  y = Relu (down)", k=2000.0)
    found = plan(made)
    assert found.loss_unpinned > 0.05
    assert found.loss <= 1e-2
    assert {pin.op_type for pin in found.pins} == {"Add", "Sub"}


def test_weights_that_do_not_fit_pin_their_layer() -> None:
    assert [pin.op_type for pin in plan(network("t = Mul (c, k)  y = Mul (t, i)", k=1e5, i=1e-5)).pins] == [
        "Mul",
        "Mul",
    ]


def test_the_artefact_names_the_pinned_layers(tmp_path: Path) -> None:
    made = network("big = Mul (c, k)  y = Div (big, k)", k=5e4)
    record = write_artefact(tmp_path, made, precision="fp16")
    runtime = json.loads((tmp_path / "manifest.json").read_text())["runtime"]
    nodes = {node.name: node.op_type for node in ir.load(tmp_path / "model.onnx").graph}
    assert [nodes[name] for name in runtime["fp32_layers"]] == ["Mul", "Div"]
    assert [refusal.step for refusal in record.refusals] == ["tensorrt.fp16"] * 2


def test_the_tolerance_allows_for_what_fp16_itself_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A steep sigmoid turns rounding into steps: nothing is wrong with an engine that shows as much."""
    monkeypatch.setattr("edgec.targets.tensorrt.prepare.plan_half", lambda model, samples: HalfPlan((), 0.03, 0.03))
    made = network("y = Sigmoid (c)")
    artefact = edgec.compile(made, target="jetson-tx2", precision="fp16", output=tmp_path / "a")
    assert artefact.manifest.tolerance == 0.06
    assert edgec.compile(made, target="jetson-tx2", output=tmp_path / "b").manifest.tolerance == 1e-4


def test_the_users_pictures_are_emulated_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def watch(model: ir.Model, samples: Iterable[dict[str, np.ndarray[Any, Any]]]) -> HalfPlan:
        seen.extend(sample["x"] for sample in samples)
        return plan_half(model, [{"x": array} for array in seen])

    monkeypatch.setattr("edgec.targets.tensorrt.prepare.plan_half", watch)
    (tmp_path / "pictures").mkdir()
    for index in range(10):
        Image.fromarray(np.full((8, 8, 3), 20 * index, np.uint8)).save(tmp_path / f"pictures/{index}.png")
    edgec.compile(
        network("y = Relu (c)"), target="jetson-tx2", precision="fp16", data=str(tmp_path / "pictures"),
        output=tmp_path / "a",
    )  # fmt: skip
    assert len(seen) == SAMPLES + PICTURES
    assert {array.shape for array in seen} == {(1, 3, 8, 8)}


def test_fp32_is_not_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgec.targets.tensorrt.prepare.plan_half", None)
    write_artefact(tmp_path, network("y = Relu (c)"))
    assert json.loads((tmp_path / "manifest.json").read_text())["runtime"]["fp32_layers"] == []


def test_many_small_errors_pin_nothing() -> None:
    """Where no few layers are to blame, FP16 is what it is: the loss is told, nothing slowed down."""
    chain = " ".join(f"a{i + 1} = Add (a{i}, w{i})" for i in range(40))
    found = plan(network(f"a0 = Relu (c)  {chain}  y = Relu (a40)", **{f"w{i}": 0.1 for i in range(40)}), 1e-6)
    assert found.pins == ()
    assert found.loss == found.loss_unpinned > 0


def test_the_emulated_network_loses_what_the_plan_says() -> None:
    made = network("big = Mul (c, k)  root = Div (big, k)  y = Relu (root)", k=5e4)
    feeds = random_inputs(inputs_of(made), 0)
    emulation = in_half(made, [feeds])
    expected, rounded = (Reference(each).run(feeds) for each in (made, emulation.model))
    assert compare(expected, rounded).relative == pytest.approx(plan_half(made, [feeds]).loss)
    assert emulation.in_float == {pin.where for pin in plan_half(made, [feeds]).pins}


def test_an_accepted_loss_is_spent_on_fp16_where_the_board_has_no_int8(tmp_path: Path) -> None:
    path, data = saved(network("y = Relu (c)"), tmp_path / "model.onnx"), tmp_path / "data.npy"
    np.save(data, np.random.default_rng(0).random((10, 3, 8, 8), dtype=np.float32))
    settings: dict[str, Any] = {"target": "jetson-tx2", "data": str(data)}
    artefact = edgec.compile(path, output=tmp_path / "out", max_loss=0.01, **settings)
    assert artefact.manifest.options.precision == "fp16"
    assert artefact.manifest.compression is not None
    first, last = artefact.manifest.compression.steps[0], artefact.manifest.compression.steps[-1]
    assert last.name == "fp16"
    assert last.loss is not None
    assert 0 < last.loss < 1e-2
    assert (last.seconds or 0) < (first.seconds or 0)
    exact = edgec.compile(path, output=tmp_path / "exact", max_loss=1e-6, **settings)
    assert exact.manifest.options.precision == "fp32"
    assert any("fp16 loses more than is accepted" in refusal.reason for refusal in exact.manifest.refusals)
