"""`calibrate` and its table: one sweep, resumable, readable, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgec.errors import BadOption
from edgec.passes.quantize.calibrate import calibrate
from edgec.passes.quantize.placement import place
from edgec.quantization import CalibrationTable, QuantParams, Scheme, TensorRange
from edgec.reference.session import Reference
from tests.passes.quantize_support import Arrays, pictures, small
from tests.support.models import model, random_weights

NETWORK = small()
TENSORS = place(NETWORK).tensors


def test_minmax_is_what_a_run_of_each_sample_shows() -> None:
    samples = pictures(5)
    table = calibrate(NETWORK, samples, TENSORS, calibrator="minmax")
    runs = [Reference(NETWORK, ["r1", "both"]).run(sample.inputs) for sample in samples]
    for name in ("r1", "both"):
        values = np.concatenate([run[name].ravel() for run in runs])
        assert (table.tensors[name].low, table.tensors[name].high) == (values.min(), values.max())
    assert table.samples == 5


class Dying(Arrays):
    """Fails at one sample, as if the machine had gone down."""

    dies_at = 40

    def __getitem__(self, index: int) -> Any:
        if index == self.dies_at:
            raise KeyboardInterrupt
        return super().__getitem__(index)


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    samples, state = pictures(48), tmp_path / "state"
    dying = Dying([sample.inputs["image"] for sample in samples])
    with pytest.raises(KeyboardInterrupt):
        calibrate(NETWORK, dying, TENSORS, calibrator="kl", checkpoint=state)
    seen: list[int] = []
    resumed = calibrate(
        NETWORK, samples, TENSORS, calibrator="kl", checkpoint=state, progress=lambda done, total: seen.append(done)
    )
    assert seen[0] == 33
    assert resumed == calibrate(NETWORK, samples, TENSORS, calibrator="kl")
    assert not state.exists()


def test_a_checkpoint_of_another_sweep_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    arrays = [sample.inputs["image"] for sample in pictures(48)]
    with pytest.raises(KeyboardInterrupt):
        calibrate(NETWORK, Dying(arrays), TENSORS, checkpoint=state)
    with pytest.raises(BadOption, match="another calibration"):
        calibrate(NETWORK, pictures(47), TENSORS, checkpoint=state)
    with pytest.raises(BadOption, match="another calibration"):
        calibrate(NETWORK, pictures(48), TENSORS, calibrator="minmax", checkpoint=state)
    with pytest.raises(BadOption, match="another calibration"):
        calibrate(NETWORK, Arrays([255 * each for each in arrays]), TENSORS, checkpoint=state)
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadOption, match="cannot be read"):
        calibrate(NETWORK, pictures(48), TENSORS, checkpoint=state)
    state.write_bytes(b"no archive")
    with pytest.raises(BadOption, match="cannot be read"):
        calibrate(NETWORK, pictures(48), TENSORS, checkpoint=state)


def test_no_samples() -> None:
    with pytest.raises(BadOption, match="contains no samples"):
        calibrate(NETWORK, Arrays([]), TENSORS)


def test_a_sample_of_the_wrong_shape_is_named() -> None:
    arrays = [np.zeros((1, 3, 16, 16), np.float32), np.zeros((1, 3, 16, 15), np.float32)]
    with pytest.raises(BadOption, match=r"sample sample-1: .*1x3x16x15"):
        calibrate(NETWORK, Arrays(arrays), TENSORS)


def test_pictures_that_nobody_normalized_are_remarked() -> None:
    arrays = [np.full((1, 3, 16, 16), 255, np.float32)]
    notes = calibrate(NETWORK, Arrays(arrays), TENSORS).notes
    assert any("reaches 255" in note and "--preprocess" in note for note in notes)
    assert not any("reaches" in note for note in calibrate(NETWORK, pictures(2), TENSORS).notes)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(bad: float) -> None:
    arrays = [np.full((1, 3, 16, 16), bad, np.float32)]
    with pytest.raises(BadOption, match="tensor 'image' contains NaN or infinity"):
        calibrate(NETWORK, Arrays(arrays), TENSORS)


def test_an_overflow_inside_is_named() -> None:
    text = "net (float[1, 1, 4, 4] image) => (float[1, 1, 4, 4] y) { e = Exp (image)  y = Conv (e, w) }"
    network = model(text, random_weights(w=(1, 1, 1, 1)), opset=18)
    with pytest.raises(BadOption, match="tensor 'e' contains"):
        calibrate(network, Arrays([np.full((1, 1, 4, 4), 100, np.float32)]), place(network).tensors)


def test_a_constant_tensor_is_remarked() -> None:
    table = calibrate(NETWORK, Arrays([np.zeros((1, 3, 16, 16), np.float32)]), ("image",))
    assert table.notes == ("image is always 0",)


def test_an_unknown_calibrator_gets_suggestions() -> None:
    with pytest.raises(BadOption, match="minmax"):
        calibrate(NETWORK, pictures(1), TENSORS, calibrator="minmx")


class Widest:
    """A calibrator of the user's own: no more than the interface asks for."""

    def __init__(self, scheme: Scheme) -> None:
        self.most = 0.0

    def update(self, array: Any) -> None:
        self.most = max(self.most, float(np.abs(array).max()))

    def result(self) -> TensorRange:
        return TensorRange(low=-self.most, high=self.most, method="widest")


def test_a_calibrator_of_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("edgec.registry.load", lambda group, name: Widest)
    table = calibrate(NETWORK, pictures(2), ("r1",), calibrator="mine:Widest")
    assert table.tensors["r1"].low == -table.tensors["r1"].high
    with pytest.raises(BadOption, match="cannot be resumed"):
        calibrate(NETWORK, pictures(2), ("r1",), calibrator="mine:Widest", checkpoint=tmp_path / "state")


def test_the_table_reads_back_and_can_be_edited(tmp_path: Path) -> None:
    path = tmp_path / "scales.json"
    table = calibrate(NETWORK, pictures(2), TENSORS)
    table.save(path)
    assert CalibrationTable.read(path) == table
    data = json.loads(path.read_text())
    data["tensors"]["r1"] = {"low": 0.0, "high": 2.55}
    path.write_text(json.dumps(data))
    assert CalibrationTable.read(path).params("r1").scale[0] == pytest.approx(0.01)


def test_an_edited_scale_is_refused_for_it_follows_from_the_range(tmp_path: Path) -> None:
    path = tmp_path / "scales.json"
    calibrate(NETWORK, pictures(2), TENSORS).save(path)
    data = json.loads(path.read_text())
    data["tensors"]["r1"]["scale"] *= 2
    path.write_text(json.dumps(data))
    with pytest.raises(BadOption, match=r"r1: scale .* does not follow from"):
        CalibrationTable.read(path)


@pytest.mark.parametrize("text", ["", "[]", '{"tensors": {"a": {"low": 1, "high": 0}}}', '{"format": "other"}'])
def test_a_table_that_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "scales.json"
    path.write_text(text)
    with pytest.raises(BadOption, match=r"calibration table .*scales\.json"):
        CalibrationTable.read(path)


def test_a_tensor_that_the_table_lacks() -> None:
    with pytest.raises(BadOption, match="no tensor 'r2'"):
        CalibrationTable(tensors={"r1": TensorRange(low=0, high=1)}).params("r2")


@pytest.mark.parametrize(
    ("kind", "low", "high", "dtype", "scale", "zero_point"),
    [
        ("asymmetric", -1.0, 1.55, "uint8", 0.01, 100),
        ("asymmetric", 0.5, 2.55, "uint8", 0.01, 0),
        ("symmetric", -1.27, 0.3, "int8", 0.01, 0),
        ("symmetric", 0.0, 1.27, "int8", 0.01, 0),
        ("power-of-two", 0.0, 1.9, "uint8", 2.0**-7, 0),
        ("power-of-two", -1.0, 0.9, "int8", 2.0**-6, 0),
    ],
)
def test_parameters_of_a_range(kind: Any, low: float, high: float, dtype: str, scale: float, zero_point: int) -> None:
    params = Scheme(kind=kind).params(low, high)
    assert (params.dtype, params.zero_point) == (dtype, zero_point)
    assert params.scale[0] == pytest.approx(scale, rel=1e-6)


def test_quantizing_rounds_half_to_even_and_clips() -> None:
    params = QuantParams(signed=True, scale=(0.5,))
    assert params.quantize(np.array([0.25, 0.75, -0.25, 100, -100])).tolist() == [0, 2, 0, 127, -128]


def test_scales_along_an_axis() -> None:
    params = QuantParams(signed=True, scale=(1.0, 0.5), axis=1)
    integers = params.quantize(np.array([[2.0, 2.0], [-1.0, -1.0]]))
    assert integers.tolist() == [[2, 4], [-1, -2]]
    np.testing.assert_array_equal(params.dequantize(integers), [[2.0, 2.0], [-1.0, -1.0]])
