"""Settings of the build that the artefact carries: ranges of shapes, layers kept in fp32, int8 scales."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tensorrt_board import (
    RANGE,
    Outcome,
    dynamic_artefact,
    run_on_board,
    set_runtime,
    small_model,
    write_artefact,
)

QUICK = ("--runs", "2", "--warmup", "0")
SCALES = "image: 3c010204\ny: 3d2f1a77\n"


def build(folder: Path, board: str = "jetson-agx-orin", **environment: str) -> Outcome:
    return run_on_board(folder, *QUICK, board=board, **environment)


@pytest.mark.parametrize("board", ["jetson-tx2", "jetson-agx-orin"])
def test_a_range_of_shapes_is_built_and_verified_at_the_golden_shape(tmp_path: Path, board: str) -> None:
    dynamic_artefact(tmp_path / "a", board)
    outcome = build(tmp_path / "a", board)
    assert outcome.code == 0, outcome.stderr
    assert ["set_shape", "image", [1, 3, 4, 4], [1, 3, 8, 8], [1, 3, 16, 16]] in outcome.calls
    assert ["shape", "image", [1, 3, 8, 8]] in outcome.calls


def test_a_range_that_tensorrt_refuses_is_shown(tmp_path: Path) -> None:
    dynamic_artefact(tmp_path / "a", "jetson-tx2")
    outcome = build(tmp_path / "a", "jetson-tx2", STAND_IN_FAULT="profile")
    assert outcome.code == 2
    assert "image (1, 3, 4, 4)..(1, 3, 16, 16)" in outcome.stderr


def test_a_shape_outside_of_the_range_names_the_range(tmp_path: Path) -> None:
    dynamic_artefact(tmp_path / "a", "jetson-agx-orin")
    outcome = build(tmp_path / "a", STAND_IN_FAULT="shape")
    assert outcome.code == 2
    assert "'image' cannot be (1, 3, 8, 8): the engine was built for (1, 3, 4, 4) to (1, 3, 16, 16)" in outcome.stderr


@pytest.mark.parametrize("board", ["jetson-tx2", "jetson-agx-orin"])
def test_layers_stay_in_fp32(tmp_path: Path, board: str) -> None:
    write_artefact(tmp_path / "a", small_model(), board=board, precision="fp16", fp32_layers=["Conv_c", "gone"])
    outcome = build(tmp_path / "a", board, STAND_IN_LAYERS="Conv_c,Mul_y")
    assert outcome.code == 0, outcome.stderr
    assert ["set_flag", "OBEY_PRECISION_CONSTRAINTS"] in outcome.calls
    pinned = [call for call in outcome.calls if call[0] in ("precision", "set_output_type")]
    assert pinned == [["precision", "Conv_c", "FLOAT"], ["set_output_type", "Conv_c", 0, "FLOAT"]]
    assert "no layer is called 'gone'" in outcome.stdout


def int8_artefact(folder: Path, board: str) -> None:
    write_artefact(folder, small_model(), board=board, precision="fp16")
    set_runtime(folder, precision="int8", calibration_cache="calibration.cache")
    (folder / "calibration.cache").write_text("TRT-8601-EntropyCalibration2\n" + SCALES)


@pytest.mark.parametrize(("board", "number"), [("jetson-agx-xavier", "8502"), ("jetson-agx-orin", "100300")])
def test_scales_are_given_under_the_header_of_the_boards_version(tmp_path: Path, board: str, number: str) -> None:
    int8_artefact(tmp_path / "a", board)
    outcome = build(tmp_path / "a", board)
    assert outcome.code == 0, outcome.stderr
    assert ["calibration_cache", f"TRT-{number}-EntropyCalibration2", SCALES] in outcome.calls
    assert ["set_flag", "INT8"] in outcome.calls
    assert ["set_flag", "FP16"] in outcome.calls
    assert "get_batch" not in outcome.names()


def test_scales_that_tensorrt_does_not_take_end_the_build(tmp_path: Path) -> None:
    int8_artefact(tmp_path / "a", "jetson-agx-orin")
    outcome = build(tmp_path / "a", STAND_IN_FAULT="cache refused")
    assert outcome.code == 2
    assert "did not take the scales" in outcome.stderr


def test_tensors_without_a_scale_are_told(tmp_path: Path) -> None:
    int8_artefact(tmp_path / "a", "jetson-agx-orin")
    outcome = build(tmp_path / "a", STAND_IN_FAULT="unscaled")
    assert outcome.code == 0
    assert "1 tensors have no int8 scale" in outcome.stdout


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"fp32_layers": ["Conv_c"]}, "fp32_layers"), ({"profiles": {"image": RANGE}}, "profiles")],
)
def test_other_settings_are_another_engine(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    write_artefact(tmp_path / "a", small_model(), board="jetson-agx-orin")
    assert build(tmp_path / "a").code == 0
    set_runtime(tmp_path / "a", **changed)
    outcome = build(tmp_path / "a")
    assert f"built for {said}" in outcome.stdout


def test_missing_scales_are_named(tmp_path: Path) -> None:
    int8_artefact(tmp_path / "a", "jetson-agx-orin")
    (tmp_path / "a/calibration.cache").unlink()
    outcome = build(tmp_path / "a")
    assert outcome.code == 2
    assert "calibration.cache: No such file" in outcome.stderr


@pytest.mark.parametrize("profiles", [{"image": {"min": [1]}}, {"picture": RANGE}, ["image"]])
def test_damaged_ranges_are_refused(tmp_path: Path, profiles: object) -> None:
    write_artefact(tmp_path / "a", small_model(), board="jetson-agx-orin", profiles=profiles)
    outcome = build(tmp_path / "a")
    assert outcome.code == 2
    assert "manifest.json is damaged" in outcome.stderr
