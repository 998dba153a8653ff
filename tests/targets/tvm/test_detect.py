"""`edgec-detect` of a CPU board: pictures in, boxes out, the same as Python gives."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

import edgec
from edgec.artefact.artefact import Artefact
from tests.support import heads
from tests.support.tvm_artefact import compiled, require_emulator

NAMES = {"names": "{0: 'cat', 1: 'dog'}"}
SIZES = ((128, 96), (97, 31), (64, 64), (5, 3), (201, 122))
MIN_SCORE = 0.4


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures, none higher than wide: of those Pillow 13 resizes the columns first, which rounds differently."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(4)
    for number in range(10):
        width, height = SIZES[number % len(SIZES)]
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return compiled(tmp_path_factory.mktemp("detect") / "a", "host", heads.yolov8(metadata=NAMES))


def detect(artefact: Artefact, *arguments: object, emulator: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*emulator, str(artefact.folder / "edgec-detect"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_same(found: list[dict[str, Any]], artefact: Artefact, pictures: Path) -> None:
    """Compare with Python: boxes within 0.5 pixels, scores within 1e-4."""
    paths = sorted(pictures.iterdir())
    assert [row["picture"] for row in found] == [path.name for path in paths]
    for row, expected in zip(found, artefact.predict(paths, min_score=MIN_SCORE), strict=True):
        wanted = expected.to_dict()
        assert (row["width"], row["height"], row["kind"]) == (wanted["width"], wanted["height"], wanted["kind"])
        assert [each["name"] for each in row["detections"]] == [each["name"] for each in wanted["detections"]]
        for key, tolerance in (("box", 0.5), ("score", 1e-4)):
            got, want = ([each[key] for each in said["detections"]] for said in (row, wanted))
            np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)
    assert any(row["detections"] for row in found)


def test_a_folder_of_pictures_gives_what_python_gives(artefact: Artefact, pictures: Path, tmp_path: Path) -> None:
    done = detect(artefact, pictures, "--json", "--min_score", MIN_SCORE, "--output", tmp_path / "drawn")
    assert_same(rows(done), artefact, pictures)
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert [path.name for path in drawn] == [f"{number}.png" for number in range(10)]
    assert [Image.open(path).size for path in drawn[:5]] == list(SIZES)


def test_a_network_that_suppresses_boxes_itself_gives_the_same(
    artefact: Artefact, pictures: Path, tmp_path: Path
) -> None:
    inside = edgec.compile(ir.to_proto(heads.yolov8(metadata=NAMES)), target="host", output=tmp_path / "a", nms=True)
    assert inside.verification is not None and inside.verification.ok
    assert_same(rows(detect(inside, pictures, "--json", "--min_score", MIN_SCORE)), artefact, pictures)
    for found, wanted in zip(
        inside.predict(sorted(pictures.iterdir())), artefact.predict(sorted(pictures.iterdir())), strict=True
    ):
        assert found.to_dict() == wanted.to_dict()


@pytest.mark.slow
@pytest.mark.emulation
def test_so_it_does_on_an_arm_board(pictures: Path, tmp_path: Path) -> None:
    require_emulator()
    artefact = compiled(tmp_path / "a", "rpi4", heads.yolov8(metadata=NAMES))
    emulator = ("qemu-aarch64", "-cpu", "cortex-a72", "-L", "/usr/aarch64-linux-gnu")
    found = rows(detect(artefact, pictures, "--json", "--min_score", MIN_SCORE, "--threads", 1, emulator=emulator))
    assert_same(found, artefact, pictures)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_exif_says(artefact: Artefact, tmp_path: Path, orientation: int) -> None:
    picture = Image.new("RGB", (60, 40), "white")
    picture.paste("red", (0, 0, 20, 10))
    exif = picture.getexif()
    exif[0x0112] = orientation
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "p.jpg", exif=exif, quality=95)
    done = detect(artefact, tmp_path / "in", "--min_score", 1, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    from PIL import ImageOps

    seen = ImageOps.exif_transpose(Image.open(tmp_path / "in" / "p.jpg"))
    drawn = np.asarray(Image.open(tmp_path / "out" / "p.png"), int)
    assert drawn.shape == np.asarray(seen).shape
    assert np.abs(drawn - np.asarray(seen, int)).mean() < 2


def test_a_cmyk_picture_has_its_colours(artefact: Artefact, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = Image.new("RGB", (60, 40), "white")
    picture.paste("orange", (0, 0, 20, 10))
    picture.convert("CMYK").save(tmp_path / "in" / "p.jpg", quality=95)
    assert detect(artefact, tmp_path / "in", "--min_score", 1, "--output", tmp_path / "out").returncode == 0
    drawn = np.asarray(Image.open(tmp_path / "out" / "p.png"), int)
    assert np.abs(drawn - np.asarray(picture, int)).mean() < 2


def test_pictures_of_every_kind_are_read(artefact: Artefact, tmp_path: Path) -> None:
    colours = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8))
    (tmp_path / "in").mkdir()
    for mode in ("L", "RGBA", "P", "1", "LA"):
        colours.convert(mode).save(tmp_path / "in" / f"{mode}.png")
    Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27).save(tmp_path / "in" / "deep.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "in" / "dot.png")
    Image.new("RGB", (20_000, 2)).save(tmp_path / "in" / "wide.png")
    assert_same(rows(detect(artefact, tmp_path / "in", "--json", "--min_score", MIN_SCORE)), artefact, tmp_path / "in")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("missing.jpg", "no such file or folder"),
        ("empty", "contains no pictures"),
        ("text.jpg", "neither a JPEG nor a PNG"),
        ("half.png", "half.png"),
        ("half.jpg", "half.jpg: the file ends too early"),
        ("camera:77", "camera:77: cannot open /dev/video77"),
    ],
)
def test_what_cannot_be_read_is_one_message(artefact: Artefact, tmp_path: Path, given: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jpg").write_text("no picture")
    for name in ("half.png", "half.jpg"):
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    done = detect(artefact, given if given.startswith("camera") else tmp_path / given)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert done.stderr.startswith("edgec-detect: ") and done.stderr.count("\n") == 1
