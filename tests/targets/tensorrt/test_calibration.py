"""Int8 for TensorRT 8.2: Q/DQ pairs become a calibration cache that carries their scales."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgec.errors import BadOption, MissingDependency, UnsupportedModel
from edgec.model.signature import inputs_of
from edgec.quantization import CalibrationTable, TensorRange
from edgec.reference.compare import compare
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from edgec.targets.tensorrt.calibration import cache_text, read_cache, strip_pairs
from edgec.targets.tensorrt.calibrator import make_calibrator, read_ranges
from tests.support.models import model, ops, random_weights
from tests.support.real_models import ROOT
from tests.support.tensorrt_board import write_artefact

PAIRS = """
net (float[1, 3, 8, 8] x) => (float[1, 4, 4, 4] y) {
  q = QuantizeLinear (x, xs, z)  d = DequantizeLinear (q, xs, z)
  p = QuantizeLinear <axis = 0> (w, ws, wz)  v = DequantizeLinear <axis = 0> (p, ws, wz)
  c = Conv <pads = [1, 1, 1, 1]> (d, v, b)  r = Relu (c)
  m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  s = QuantizeLinear (m, ms, z)  y = DequantizeLinear (s, ms, z)
}
"""


def quantized() -> ir.Model:
    weights = random_weights(w=(4, 3, 3, 3), b=(4,))
    scales = np.abs(weights["w"]).max(axis=(1, 2, 3)) / 127
    constants = {
        "xs": np.float32(0.02),
        "ms": np.float32(0.05),
        "z": np.int8(0),
        "ws": scales,
        "wz": np.zeros(4, np.int8),
    }
    return model(PAIRS, weights | {name: np.asarray(value) for name, value in constants.items()}, opset=13)


def test_scales_are_the_hexadecimal_digits_of_a_float32() -> None:
    """1/127 is 3c010204, as NVIDIA's own caches have it."""
    assert cache_text({"images": 1.0}, "8.2.1") == "TRT-8201-EntropyCalibration2\nimages: 3c010204\n"


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("8.2.1.8", 8201),
        ("8.2.1-1+cuda10.2", 8201),  # of the Debian package
        ("8.5.2", 8502),
        ("8.6.2", 8602),
        ("10.0.0b6", 100000),
        ("10.3.0", 100300),
        ("10.3", 100300),
    ],
)
def test_the_header_names_the_version(version: str, number: int) -> None:
    assert cache_text({}, version) == f"TRT-{number}-EntropyCalibration2\n"


@given(st.dictionaries(st.text("abc_./-", min_size=1), st.floats(2.0**-100, 2.0**100, width=32)))
def test_what_is_written_is_read(ranges: dict[str, float]) -> None:
    assert read_cache(cache_text(ranges, "8.2.1")) == pytest.approx(ranges, rel=1e-6)


def test_pairs_become_ranges() -> None:
    network = quantized()
    ranges = strip_pairs(network)
    assert ops(network) == ["Conv", "Relu", "MaxPool"]
    assert ranges == pytest.approx({"x": 127 * 0.02, "y": 127 * 0.05})  # y is the name of what MaxPool writes now
    assert network.graph.outputs[0].name == "y"


def test_weights_stay_as_their_pairs_made_them() -> None:
    network, feeds = quantized(), random_inputs(inputs_of(quantized()), 0)
    strip_pairs(network)
    exact = {name: 0.02 * np.clip(np.rint(array / np.float32(0.02)), -128, 127) for name, array in feeds.items()}
    expected = Reference(quantized(), ["m"]).run(feeds)["m"]
    actual = Reference(network).run({name: array.astype(np.float32) for name, array in exact.items()})["y"]
    assert compare({"m": expected}, {"m": actual}).within(1e-5)


def test_ranges_follow_values_that_are_only_moved() -> None:
    text = """net (float[1, 4] x) => (float[2, 2] y) {
      q = QuantizeLinear (x, s, z)  d = DequantizeLinear (q, s, z)  r = Reshape (d, to)  y = Transpose (r)
    }"""
    network = model(text, {"s": np.array(0.5, np.float32), "z": np.array(0, np.int8), "to": np.array([2, 2])}, opset=13)
    assert strip_pairs(network) == pytest.approx({"x": 63.5, "r": 63.5, "y": 63.5})


def test_a_layer_has_the_range_of_the_activation_behind_it() -> None:
    """TensorRT fuses the two; without a range for the value between them it might leave both in float."""
    text = """net (float[1, 4] x) => (float[1, 4] y) {
      n = Neg (x)  r = Relu (n)  q = QuantizeLinear (r, s, z)  d = DequantizeLinear (q, s, z)  y = Tanh (d)
    }"""
    network = model(text, {"s": np.array(0.5, np.float32), "z": np.array(0, np.int8)}, opset=13)
    assert strip_pairs(network) == pytest.approx({"n": 63.5, "r": 63.5})


def test_channel_scales_on_activations_are_refused() -> None:
    text = (
        "net (float[1, 2, 4] x) => (float[1, 2, 4] y) { q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z) }"
    )
    network = model(text, {"s": np.ones(2, np.float32), "z": np.zeros(2, np.int8)}, opset=13)
    with pytest.raises(UnsupportedModel, match="'x' has per-channel scales"):
        strip_pairs(network)


# make_calibrator, for any build flow


def test_a_table_of_edgec_calibrate_is_read(tmp_path: Path) -> None:
    table = CalibrationTable(tensors={"x": TensorRange(low=-2.0, high=1.0), "r": TensorRange(low=0.0, high=3.0)})
    table.save(tmp_path / "table.json")
    assert read_ranges(tmp_path / "table.json") == {"x": 2.0, "r": 3.0}


def test_a_table_of_the_equalized_network_is_refused(tmp_path: Path) -> None:
    """Its ranges are those of r / 2 and r / 4; the network that TensorRT builds has r."""
    table = CalibrationTable(tensors={"r": TensorRange(low=0.0, high=3.0)}, equalized={"r": (2.0, 4.0)})
    table.save(tmp_path / "table.json")
    with pytest.raises(BadOption, match=r"table\.json: its ranges belong to the equalized network") as caught:
        read_ranges(tmp_path / "table.json")
    assert "--no-equalize" in str(caught.value.remedy)


def test_a_cache_of_another_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "old.cache").write_text("TRT-7103-EntropyCalibration2\nimages: 3c010204\n")
    assert read_ranges(tmp_path / "old.cache") == pytest.approx({"images": 1.0})


@pytest.mark.parametrize("line", ["second", "images: 3c01020400", "images: 3c0102xy", "3c010204"])
def test_a_file_that_is_no_cache_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "no.cache").write_text(f"TRT-8201-EntropyCalibration2\n{line}\n")
    with pytest.raises(BadOption, match=rf"no\.cache: line '{line}'"):
        read_ranges(tmp_path / "no.cache")


def test_the_calibrator_gives_the_scales_of_the_local_version(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tensorrt")
    module.__version__ = "8.2.1.8"  # type: ignore[attr-defined]
    module.IInt8EntropyCalibrator2 = type("Base", (), {"__init__": lambda self: None})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.delitem(sys.modules, "edgec.targets.tensorrt.board.calibrator", raising=False)
    made = make_calibrator({"images": 1.0})
    assert made.read_calibration_cache() == b"TRT-8201-EntropyCalibration2\nimages: 3c010204\n"
    assert (made.get_batch_size(), made.get_batch(["images"]), made.refused) == (1, None, True)


def test_without_tensorrt_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependency, match="no TensorRT with calibrators"):
        make_calibrator({"images": 1.0})


# In the artefact


def test_xavier_with_8_2_gets_a_cache_instead_of_pairs(tmp_path: Path) -> None:
    known = Path("targets/boards/jetson-xavier-nx.toml")
    older = tmp_path / "nx-jetpack4.toml"
    older.write_text((ROOT / known).read_text().replace('tensorrt = "8.5.2"', 'tensorrt = "8.2.1"'))
    write_artefact(tmp_path / "old", quantized(), board=str(older), precision="int8")
    write_artefact(tmp_path / "new", quantized(), board="jetson-xavier-nx", precision="int8")
    settings = [json.loads((tmp_path / name / "manifest.json").read_text())["runtime"] for name in ("old", "new")]
    assert [entry["calibration_cache"] for entry in settings] == ["calibration.cache", None]
    assert read_cache((tmp_path / "old/calibration.cache").read_text()) == pytest.approx({"x": 2.54, "y": 6.35})
    assert "QuantizeLinear" not in ops(ir.load(tmp_path / "old/model.onnx"))
    assert "QuantizeLinear" in ops(ir.load(tmp_path / "new/model.onnx"))
