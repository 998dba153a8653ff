"""`--shape x=1..8,...`: a batch that varies, an optimization profile on the board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

import edgec
from edgec.cli import app
from edgec.cli.arguments import parse_batch, parse_shapes
from edgec.errors import BadOption, UnsupportedModel
from edgec.model.serialize import save
from edgec.model.signature import inputs_of
from edgec.options import compile_options
from edgec.profile import Profile
from edgec.reference.golden import random_inputs
from edgec.reference.session import Reference
from edgec.targets.tensorrt.batch import open_batch
from tests.support.models import model, random_weights
from tests.support.tensorrt_board import board_environment


def test_a_range_is_read() -> None:
    assert parse_shapes(["x=1..8,3,640,640", "k=2"]) == {"x": (1, 3, 640, 640), "k": (2,)}
    assert parse_batch(["x=1..8,3,640,640", "k=2"]) == (1, 8)
    assert parse_batch(["x=1,3,640,640"]) is None


@pytest.mark.parametrize("items", [["x=8..1,3"], ["x=0..2,3"], ["x=1..8,3", "y=1..4,3"]])
def test_wrong_ranges_are_refused(items: list[str]) -> None:
    with pytest.raises(BadOption, match="range"):
        parse_batch(items)


@pytest.mark.parametrize("batch", [(8, 1), (0, 2), (4, 4)])
def test_wrong_ranges_are_refused_in_a_settings_file_too(batch: tuple[int, int]) -> None:
    with pytest.raises(BadOption, match=r"edgec\.toml: batch: .* is not a range: give the smallest and the largest"):
        compile_options({"target": "rtx", "batch": batch}, source="edgec.toml")


def test_a_range_elsewhere_is_refused() -> None:
    with pytest.raises(BadOption, match="the first may be a range"):
        parse_shapes(["x=1,3,320..640,640"])


WEIGHTS = random_weights(w=(4, 3, 3, 3), b=(4,)) | {
    "to": np.array([1, 4, 64], np.int64), "flat": np.array([1, -1], np.int64),
    "sizes": np.array([1, 4, 16, 16], np.int64), "whole": np.array([1, 4, 8, 8], np.int64),
}  # fmt: skip


def network(rest: str, shape: str, **constants: Any) -> ir.Model:
    text = f"net (float[1, 3, 8, 8] x) => (float[{shape}] y) {{ c = Conv <pads = [1, 1, 1, 1]> (x, w, b)  {rest} }}"
    return model(text, WEIGHTS | constants, opset=13)


@pytest.mark.parametrize(
    ("rest", "shape"),
    [
        ("y = Relu (c)", "1, 4, 8, 8"),
        ("y = Reshape (c, to)", "1, 4, 64"),
        ("y = Reshape (c, flat)", "1, 256"),
        ("y = Resize (c, , , sizes)", "1, 4, 16, 16"),
    ],
)
def test_every_batch_of_the_range_gives_the_same(rest: str, shape: str) -> None:
    made = network(rest, shape)
    feeds = random_inputs(inputs_of(made), 0)
    opened = open_batch(made, (1, 8), feeds)
    onnx.checker.check_model(ir.to_proto(opened), full_check=True)
    alone = Reference(made).run(feeds)["y"]
    for count in (1, 3, 8):
        together = Reference(opened).run({"x": np.concatenate([feeds["x"]] * count)})["y"]
        np.testing.assert_allclose(together, np.concatenate([alone] * count), rtol=1e-5, atol=1e-5)


def test_a_batch_held_inside_is_refused() -> None:
    made = network("e = Expand (one, whole)  y = Concat <axis = 1> (c, e)", "1, 8, 8, 8", one=np.ones(1, np.float32))
    with pytest.raises(UnsupportedModel, match="a shape in the network contains the batch size"):
        open_batch(made, (1, 8), random_inputs(inputs_of(made), 0))


@pytest.mark.parametrize("batch", [(2, 3), (2, 4)])
def test_a_batch_held_inside_is_refused_in_a_narrow_range_too(batch: tuple[int, int]) -> None:
    text = "net (float[2, 4] x) => (float[2, 8] y) { e = Expand (one, whole)  y = Concat <axis = 1> (x, e) }"
    made = model(text, {"one": np.ones(1, np.float32), "whole": np.array([2, 4], np.int64)}, opset=13)
    with pytest.raises(UnsupportedModel, match="a shape in the network contains the batch size"):
        open_batch(made, batch, random_inputs(inputs_of(made), 0))


def test_pictures_that_mix_are_refused() -> None:
    made = network("y = Softmax <axis = 0> (c)", "1, 4, 8, 8")
    with pytest.raises(UnsupportedModel, match="the network's outputs differ in a batch"):
        open_batch(made, (1, 2), random_inputs(inputs_of(made), 0))


def test_the_artefact_holds_the_profile(tmp_path: Path) -> None:
    save(network("y = Relu (c)", "1, 4, 8, 8"), tmp_path / "m.onnx")
    arguments = ["compile", str(tmp_path / "m.onnx"), "-t", "jetson-tx2", "--shape", "x=1..8,3,8,8", "-q"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "a")])
    assert result.exit_code == 0, result.output
    runtime = json.loads((tmp_path / "a/manifest.json").read_text())["runtime"]
    assert runtime["profiles"] == {"x": {"min": [1, 3, 8, 8], "opt": [8, 3, 8, 8], "max": [8, 3, 8, 8]}}
    assert onnx.load(tmp_path / "a/model.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize("target", ["jetson-tx2", "rtx"])
def test_the_memory_is_that_of_the_largest_batch(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in board_environment("jetson-agx-orin").items():
        monkeypatch.setenv(name, value)  # rtx builds when it compiles
    made, needed = network("y = Relu (c)", "1, 4, 8, 8"), []
    for batch in (None, (1, 1024)):
        artefact = edgec.compile(made, target=target, batch=batch, output=tmp_path / "a")
        needed.append(artefact.manifest.runtime["needed_mib"])
    assert needed[1] - needed[0] == 2  # c and y are 1 KiB each


def test_back_ends_that_build_for_one_size_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgec.targets.tensorrt.TensorRTTarget.profile", lambda self, board: Profile())
    with pytest.raises(BadOption, match="it is built for one size"):
        edgec.compile(network("y = Relu (c)", "1, 4, 8, 8"), target="jetson-tx2", batch=(1, 8), output=tmp_path / "a")
