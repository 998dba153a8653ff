"""`edgec init` writes settings that `compile` takes, and says what it guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgec.api import init
from edgec.cli import app
from edgec.errors import BadOption
from edgec.options import compile_options, read_config
from tests.support import heads
from tests.support.models import CONV_BN_RELU, proto, saved


def settings_for(model: Path, *options: str) -> tuple[str, dict[str, object]]:
    output = model.with_name("edgec.toml")
    app(["init", str(model), "-o", str(output), *options], standalone_mode=False)
    return output.read_text(), read_config(output)


def test_a_recognised_detector_brings_its_preprocessing(tmp_path: Path) -> None:
    text, settings = settings_for(saved(heads.yolov8(), tmp_path / "m.onnx"), "--target", "rpi4")
    options = compile_options(settings)
    assert options.target == "rpi4" and options.preprocess.resize == "letterbox"
    assert '# decoder = "yolov8"' in text and '# metric = "map"' in text and "precision =" in text


def test_open_sizes_are_guessed_and_said_to_be(tmp_path: Path) -> None:
    graph = "g (float[n, 3, h, w] x) => (float[n, 3, h, w] y) { y = Relu (x) }"
    text, settings = settings_for(saved(proto(graph), tmp_path / "m.onnx"))
    assert settings["shapes"] == {"x": [1, 3, 224, 224]} and "a guess" in text
    text, settings = settings_for(_other(tmp_path))
    assert settings["shapes"] == {"image": [1, 3, 8, 8]} and "a guess" not in text


def _other(folder: Path) -> Path:
    (folder / "other").mkdir()
    return saved(proto(CONV_BN_RELU), folder / "other" / "m.onnx")


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    model = saved(heads.classifier(), tmp_path / "m.onnx")
    settings_for(model)
    with pytest.raises(BadOption, match="exists"):
        settings_for(model)


def test_on_a_board_it_is_the_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert init.this_board() == "host"
    (tmp_path / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\x00")
    monkeypatch.setattr(init, "TREE", tmp_path / "model")
    assert init.this_board() == "rpi5"
