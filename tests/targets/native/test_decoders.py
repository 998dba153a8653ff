"""Every decoder in C++ says what the one in Python says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgec import registry
from edgec.preprocessing import Preprocessing
from tests.support.cpp_runner import detect
from tests.support.decoder_cases import CASES, TOLERANCES, distances, outputs_of, prepare, write_manifest

HOW = Preprocessing(resize="letterbox")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, size in enumerate([(301, 222), (97, 31), (20, 71)]):
        Image.new("RGB", size).save(folder / f"{number}.png")
    return folder


def test_every_decoder_is_there() -> None:
    assert {kind for kind, _ in CASES.values()} == set(registry.names("decoders"))


@pytest.mark.parametrize("case", CASES)
def test_results_are_the_same(pictures: Path, tmp_path: Path, case: str) -> None:
    wanted = prepare(case, tmp_path / "a", sorted(pictures.iterdir()), HOW, seed=7)
    arguments = ("--artefact", tmp_path / "a", "--outputs_from", tmp_path / "a", "--output", tmp_path / "drawn")
    done = detect(pictures, "--json", *arguments)
    assert (done.code, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    far = distances(found, wanted)
    assert all(far[unit] <= TOLERANCES[unit] for unit in far), far
    assert any(row.get("detections", True) for row in found)
    assert len(list((tmp_path / "drawn").iterdir())) == 3
    assert detect(pictures, *arguments).code == 0


def test_times_of_the_stages_come_last(pictures: Path, tmp_path: Path) -> None:
    prepare("scores", tmp_path, sorted(pictures.iterdir()), HOW, seed=0)
    arguments = ("--artefact", tmp_path, "--outputs_from", tmp_path, "--times")
    *rows, last = map(json.loads, detect(pictures, *arguments, "--json", "--limit", "2").stdout.splitlines())
    said = last["times"]
    assert len(rows) == 2 and said["pictures"] == 2 and said["per_second"] > 0
    assert list(said["ms"]) == ["read", "preprocess", "network", "decode", "all"]
    assert all(0 <= each["median"] <= each["p90"] <= each["p99"] for each in said["ms"].values())
    assert "3 pictures" in detect(pictures, *arguments).stdout


@pytest.mark.parametrize("how", [(), ("--latency",)])
def test_pictures_keep_their_order_and_an_error_comes_in_its_turn(
    pictures: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    wanted = prepare("yolov8", tmp_path / "a", sorted(pictures.iterdir()), HOW, seed=1)
    arguments = ("--json", "--artefact", tmp_path / "a", "--outputs_from", tmp_path / "a", *how)
    done = detect(pictures, *arguments)
    assert [json.loads(line)["picture"] for line in done.stdout.splitlines()] == [row["picture"] for row in wanted]
    shutil.copytree(pictures, tmp_path / "some")
    (tmp_path / "some" / "1.png").write_bytes(b"no picture")
    done = detect(tmp_path / "some", *arguments)
    assert (done.code, len(done.stdout.splitlines()), done.stderr.count("\n")) == (2, 1, 1)
    assert "1.png is neither a JPEG nor a PNG" in done.stderr


def test_crops_hide_what_the_network_does_not_see(pictures: Path, tmp_path: Path) -> None:
    how = Preprocessing(resize="crop")
    for case in ("class-map", "yolov8-seg", "yolov8-obb"):
        wanted = prepare(case, tmp_path / case, sorted(pictures.iterdir()), how, seed=3)
        done = detect(pictures, "--json", "--artefact", tmp_path / case, "--outputs_from", tmp_path / case)
        far = distances([json.loads(line) for line in done.stdout.splitlines()], wanted)
        assert all(far[unit] <= TOLERANCES[unit] for unit in far), far


@pytest.mark.parametrize(
    ("case", "settings", "said"),
    [
        ("scores", {"classes": ["a", "b"]}, "2 class names, but the network's outputs are of 7 classes"),
        ("yolov8", {"classes": ["a", "b"]}, "2 class names, but the network's outputs are of 3 classes"),
        ("class-map", {"classes": ["a", "b"]}, "2 class names, but the network's outputs are of 4 classes"),
        ("class-map of one", {}, "threshold=0.5"),
        ("ctc", {"characters": ["a"]}, "8 classes, but 1 characters"),
        ("yolov8-seg", {"masks": 32}, "4 prototypes, but masks=32"),
        ("yolov8-pose", {"points": 17}, "at least 56 are needed"),
        ("yolov8", {"output": "nothing"}, "no output is called nothing"),
        ("yolov8-obb", {"min_score": "x"}, "x is not a number"),
        ("picture", {"range": "wide"}, "range: wide is not one of unit, byte, symmetric, auto"),
        ("embedding", {"min_score": 0.5}, "decoder embedding returns none"),
        ("yolov8", {"hue": 1}, "hue is not a setting"),
    ],
)
def test_outputs_that_do_not_fit_are_one_message(
    pictures: Path, tmp_path: Path, case: str, settings: dict[str, object], said: str
) -> None:
    outputs = outputs_of(case, np.random.default_rng(0))
    write_manifest(tmp_path, HOW, outputs, {"decoder": CASES[case][0], "settings": settings})
    for index, array in enumerate(outputs.values()):
        array.astype(np.float32).tofile(tmp_path / f"0.{index}.f32")
    done = detect(pictures / "0.png", "--artefact", tmp_path, "--outputs_from", tmp_path)
    assert (done.code, said in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr
