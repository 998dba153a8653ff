"""The example plugin: a pass and a target from a separate package, found by their entry points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import edgec
from edgec import registry
from edgec.errors import BadOption

BOARD = str(Path(__file__).parent.parent / "examples" / "plugin" / "edgec_example_plugin" / "board.toml")
MODEL = onnx.parser.parse_model("""
<ir_version: 8, opset_import: ["" : 13]>
scaled (float[1, 2, 4, 4] x) => (float[1, 1, 4, 4] y)
<float[1, 2, 1, 1] w = {1.01, -0.5}>
{ y = Conv (x, w) }
""")


def test_entry_points_are_listed() -> None:
    assert "clamp-weights" in registry.names("passes")
    assert {"onnx-copy", "tvm", "tensorrt"} <= set(registry.names("targets"))


def test_target_and_board_of_the_plugin(tmp_path: Path) -> None:
    artefact = edgec.compile(MODEL, target=BOARD, output=tmp_path / "out")
    assert artefact.manifest.board.backend == "onnx-copy"
    assert artefact.verify().ok


def test_pass_of_the_plugin_runs_after_edgecs_own(tmp_path: Path) -> None:
    artefact = edgec.compile(
        MODEL, target=BOARD, output=tmp_path / "out", extra_passes=("clamp-weights",), verify_passes=True
    )
    last = artefact.manifest.passes[-1]
    assert (last.name, last.modified) == ("clamp_weights", True)
    x = np.ones((1, 2, 4, 4), np.float32)
    np.testing.assert_allclose(edgec.load(artefact.folder).run({"x": x})["y"], 0.5)


def test_module_and_class_instead_of_an_entry_point(tmp_path: Path) -> None:
    name = "edgec_example_plugin.clamp_weights:ClampWeightsPass"
    artefact = edgec.compile(MODEL, target=BOARD, output=tmp_path / "out", extra_passes=(name,))
    assert artefact.manifest.passes[-1].modified


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("clamp-weight", "clamp-weights"), ("no.such:Thing", "module:name"), ("json:nothing", "module:name")],
)
def test_unknown_pass_is_refused(tmp_path: Path, name: str, remedy: str) -> None:
    with pytest.raises(BadOption, match=remedy):
        edgec.compile(MODEL, target=BOARD, output=tmp_path / "out", extra_passes=(name,))
    assert not list(tmp_path.iterdir())
