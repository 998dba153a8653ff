"""`edgec run` on pictures, folders, videos and cameras; and what it says where something is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgec
from edgec.cli import main
from tests.support import heads

BOARD = Path(__file__).parents[3] / "examples" / "plugin" / "edgec_example_plugin" / "board.toml"
NAMES = {"names": "{0: 'cat', 1: 'dog'}"}


@dataclass
class Finished:
    returncode: int
    stdout: str
    stderr: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]


Run = Callable[..., Finished]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `edgec run ARGUMENTS` in this process."""

    def invoke(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["edgec", "run", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Finished(int(ended.value.code or 0), out, err)

    return invoke


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of two classes, which finds something wherever one lets it: its scores are about 0.5."""
    folder = tmp_path_factory.mktemp("detector") / "a"
    return edgec.compile(heads.yolov8(metadata=NAMES), target=str(BOARD), output=folder).folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("b.png", "a.jpg", "deep/c.png"):
        Image.fromarray(rng.integers(0, 255, (48, 80, 3), np.uint8)).save(folder / name)
    return folder


def test_a_picture_gives_named_boxes_in_its_own_pixels(run: Run, artefact: Path, pictures: Path) -> None:
    done = run(artefact, "--input", pictures / "b.png", "--json", "--min-score", 0.4)
    assert done.returncode == 0, done.stderr
    (row,) = done.rows
    assert (row["picture"], row["width"], row["height"]) == ("b.png", 80, 48)
    best = row["detections"][0]
    assert best["name"] in ("cat", "dog") and 0.4 <= best["score"] <= 1
    x0, y0, x1, y1 = best["box"]
    assert 0 <= x0 < x1 <= 80 and 0 <= y0 < y1 <= 48
    same = edgec.load(artefact).predict(pictures / "b.png", min_score=0.4)
    assert same.to_dict()["detections"] == row["detections"]
    text = run(artefact, "--input", f"x={pictures / 'b.png'}", "--min-score", 0.4).stdout
    assert text.startswith("b.png: <Detections: ") and "80x48" in text


def test_a_folder_is_drawn(run: Run, artefact: Path, pictures: Path, tmp_path: Path) -> None:
    done = run(artefact, "--input", pictures, "-o", tmp_path / "drawn", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["picture"] for row in done.rows] == ["a.jpg", "b.png", "deep/c.png"]
    for row in done.rows:
        assert Image.open(row["drawn"]).size == (80, 48)
    assert (tmp_path / "drawn" / "deep" / "c.png").is_file()
    assert len(run(artefact, "--input", pictures, "--json", "--limit", 2).rows) == 2


def test_times_of_the_stages_come_last(run: Run, artefact: Path, pictures: Path) -> None:
    *rows, last = run(artefact, "--input", pictures, "--json", "--times").rows
    assert len(rows) == 3 and last["times"]["pictures"] == 3 and last["times"]["per_second"] > 0
    said = last["times"]["ms"]
    assert list(said) == ["read", "preprocess", "network", "decode", "all"]
    assert all(0 < each["median"] <= each["p90"] <= each["p99"] for each in said.values())
    assert said["network"]["p99"] < said["all"]["p99"]
    assert "3 pictures" in run(artefact, "--input", pictures, "--times").stdout


def test_tensors_stay_as_they_are(run: Run, artefact: Path, pictures: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 64, 64), np.float32))
    for given in (["--input", tmp_path / "x.npy"], ["--input", pictures / "a.jpg", "--tensors"]):
        done = run(artefact, *given, "--json")
        assert json.loads(done.stdout)[0]["shape"] == [1, 6, 84]


def test_a_video_is_read_and_drawn(run: Run, artefact: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="pip install 'edgec[video]'")
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (80, 48))
    for level in range(4):
        film.write(np.full((48, 80, 3), 60 * level, np.uint8))
    film.release()
    done = run(artefact, "--input", tmp_path / "film.avi", "-o", tmp_path / "drawn", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["picture"] for row in done.rows] == [f"frame{k:06}" for k in range(1, 5)]
    drawn = cv2.VideoCapture(str(tmp_path / "drawn" / "drawn.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 4


def test_an_artefact_without_a_decoder_says_so(run: Run, pictures: Path, tmp_path: Path) -> None:
    folder = edgec.compile(heads.yolov3(), target=str(BOARD), output=tmp_path / "a").folder
    one = run(folder, "--input", pictures / "a.jpg")
    assert one.returncode == 0 and "--decoder reads them" in one.stderr and "float32" in one.stdout
    several = run(folder, "--input", pictures)
    assert several.returncode == 2 and "no decoder" in several.stderr
    wrong = run(folder, "--input", pictures / "a.jpg", "--decoder", "yolov8")
    assert wrong.returncode == 2 and "decoder yolov8: the output is" in wrong.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("missing.jpg", "no such file"),
        ("missing.mp4", "no such file"),
        ("camera:77", "no /dev/video77"),
        ("camera:x", "named by its number"),
    ],
)
def test_a_source_that_is_not_there(run: Run, artefact: Path, given: str, message: str) -> None:
    done = run(artefact, "--input", given)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_a_camera_that_stops_is_said_after_what_it_gave(
    run: Run, artefact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2", reason="pip install 'edgec[video]'")

    class Unplugged:
        left = 2

        def read(self) -> tuple[bool, Any]:
            self.left -= 1
            return self.left >= 0, np.zeros((48, 80, 3), np.uint8)

        def get(self, what: int) -> float:
            return 0.0

        def release(self) -> None:
            self.left = 0

    monkeypatch.setattr("edgec.application.sources._camera", lambda given: Unplugged())
    done = run(artefact, "--input", "camera:0", "--json")
    assert [row["picture"] for row in done.rows] == ["frame000001", "frame000002"]
    assert done.returncode == 2 and "camera:0 stopped delivering pictures" in done.stderr
    assert run(artefact, "--input", "camera:0", "--json", "--limit", 2).returncode == 0


def test_files_that_are_no_pictures_or_videos(run: Run, artefact: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="pip install 'edgec[video]'")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "text.mp4").write_text("no video")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "half.jpg")
    whole = (tmp_path / "half.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    for name, message in (
        ("empty", "contains no pictures"),
        ("text.jpg", "text.jpg"),
        ("text.mp4", "cannot be read as a video"),
        ("half.jpg", "half.jpg"),
    ):
        done = run(artefact, "--input", tmp_path / name)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def made(kind: str) -> Image.Image:
    """Return a picture of a kind, 60 wide and 40 high as it is seen."""
    colours = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8))
    if kind == "16 bits":
        return Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27)
    if kind == "turned":
        turned = colours.transpose(Image.Transpose.ROTATE_90)
        turned.getexif()[0x0112] = 6  # to be turned by 90 degrees clockwise
        return turned
    return colours.convert({"grey": "L", "alpha": "RGBA", "palette": "P", "CMYK": "CMYK", "bits": "1"}[kind])


SUFFIXES = {"CMYK": "jpg", "turned": "jpg"}


@pytest.mark.parametrize("kind", ["grey", "alpha", "palette", "bits", "16 bits", "CMYK", "turned"])
def test_pictures_of_every_kind(run: Run, artefact: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"p.{SUFFIXES.get(kind, 'png')}"
    picture = made(kind)
    picture.save(path, **({"exif": picture.getexif()} if kind == "turned" else {}))
    done = run(artefact, "--input", path, "-o", tmp_path / "drawn", "--json", "--min-score", 0.4)
    assert done.returncode == 0, done.stderr
    assert (done.rows[0]["width"], done.rows[0]["height"]) == (60, 40)
    assert Image.open(done.rows[0]["drawn"]).size == (60, 40)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 2), (1, 20_000)])
def test_pictures_of_extreme_sizes(run: Run, artefact: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "p.png")
    done = run(artefact, "--input", tmp_path / "p.png", "-o", tmp_path / "drawn", "--json", "--min-score", 0.4)
    assert done.returncode == 0, done.stderr
    for each in done.rows[0]["detections"]:
        x0, y0, x1, y1 = each["box"]
        assert 0 <= x0 <= x1 <= size[0] and 0 <= y0 <= y1 <= size[1]


def test_a_picture_that_is_too_large_is_refused(run: Run, artefact: Path, tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "p.png")
    done = run(artefact, "--input", tmp_path / "p.png")
    assert done.returncode == 2 and "p.png" in done.stderr
