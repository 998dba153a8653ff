"""Videos and cameras in the C++ program: recorded frames, and a stand-in that answers a camera's system calls."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import picture_program
from tests.support.hostile.mutate import mutated_bytes

SIZE = (64, 48)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_program.build(tmp_path_factory.mktemp("program"))


def read(program: Path, folder: Path, source: str, camera: str = "") -> tuple[int, str, list[np.ndarray]]:
    """Return the exit code, what was said, and the pictures of a source."""
    folder.mkdir()
    done = picture_program.read(program, source, folder, camera)
    return done.returncode, done.stderr, [np.asarray(Image.open(path), int) for path in sorted(folder.iterdir())]


def jpeg(level: int, *, tables: bool = True) -> bytes:
    """Return a frame of one colour, without its Huffman tables if a camera leaves them out."""
    buffer = io.BytesIO()
    Image.new("RGB", SIZE, (level, 100, 255 - level)).save(buffer, "JPEG", quality=95)
    content = buffer.getvalue()
    while not tables and (at := content.find(b"\xff\xc4")) >= 0:
        (length,) = struct.unpack(">H", content[at + 2 : at + 4])
        content = content[:at] + content[at + 2 + length :]
    return content


def assert_levels(pictures: list[np.ndarray], levels: list[int]) -> None:
    assert len(pictures) == len(levels)
    for picture, level in zip(pictures, levels, strict=True):
        assert picture.shape == (*SIZE[::-1], 3)
        assert np.abs(picture - [level, 100, 255 - level]).max() <= 3


def test_a_recorded_video(program: Path, tmp_path: Path) -> None:
    levels = [30, 140, 220]
    (tmp_path / "film.avi").write_bytes(picture_program.avi([jpeg(level, tables=level != 140) for level in levels]))
    code, said, pictures = read(program, tmp_path / "out", str(tmp_path / "film.avi"))
    assert (code, said) == (0, "")
    assert_levels(pictures, levels)
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [f"frame00000{k}.png" for k in (1, 2, 3)]


def test_a_video_that_opencv_wrote(program: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="pip install 'edgec[video]'")
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
    for level in (0, 80, 160):
        film.write(np.full((*SIZE[::-1], 3), level, np.uint8))
    film.release()
    code, said, pictures = read(program, tmp_path / "out", str(tmp_path / "film.avi"))
    assert (code, said, len(pictures)) == (0, "", 3)
    for picture, level in zip(pictures, (0, 80, 160), strict=True):
        assert np.abs(picture - level).max() <= 4


@pytest.mark.parametrize(
    ("content", "message", "frames"),
    [
        (b"no video", "is not an AVI video", 0),
        (b"", "is not an AVI video", 0),
        (picture_program.avi([]), "contains no frame", 0),
        (picture_program.avi([jpeg(9), jpeg(9)])[:-100], "ends too early", 1),
        (picture_program.avi([b"raw pixels"]), "is not a video of JPEG frames", 0),
        (picture_program.avi([jpeg(9)[:300]]), "frame 1", 0),
    ],
)
def test_videos_that_cannot_be_read(program: Path, tmp_path: Path, content: bytes, message: str, frames: int) -> None:
    (tmp_path / "film.avi").write_bytes(content)
    code, said, pictures = read(program, tmp_path / "out", str(tmp_path / "film.avi"))
    assert (code, message in said, said.count("\n"), len(pictures)) == (2, True, 1, frames), said


def files(folder: Path, frames: list[bytes]) -> str:
    """Write frames and return their paths, as the stand-in takes them."""
    for number, frame in enumerate(frames):
        (folder / f"{number}.frame").write_bytes(frame)
    return " ".join(str(folder / f"{number}.frame") for number in range(len(frames)))


def test_a_camera_gives_frames_until_it_stops(program: Path, tmp_path: Path) -> None:
    frames = [jpeg(50), b"damaged", jpeg(200, tables=False)]
    camera = f"MJPG {SIZE[0]} {SIZE[1]} {files(tmp_path, frames)}"
    code, said, pictures = read(program, tmp_path / "out", "camera:0", camera)
    assert code == 2 and said == "/dev/video0 stopped delivering pictures: check its cable\n"
    assert_levels(pictures, [50, 200])


def test_a_camera_without_jpeg_gives_yuyv(program: Path, tmp_path: Path) -> None:
    left, right = (0x52, 0x5A, 0xF0), (0x91, 0x36, 0x22)  # red and green in BT.601
    pair = [bytes([y, u, y, v]) for y, u, v in (left, right)]
    row = pair[0] * (SIZE[0] // 4) + pair[1] * (SIZE[0] // 4)
    frames = [row * SIZE[1], row * (SIZE[1] - 1), row * SIZE[1]]  # the second is cut
    camera = f"YUYV {SIZE[0]} {SIZE[1]} {files(tmp_path, frames)}"
    code, _, pictures = read(program, tmp_path / "out", "camera:0", camera)
    assert (code, len(pictures)) == (2, 2)
    half = SIZE[0] // 2
    for picture in pictures:
        assert np.abs(picture[:, :half] - [255, 0, 0]).max() <= 3 and np.abs(picture[:, half:] - [0, 255, 0]).max() <= 3


@pytest.mark.parametrize(
    ("source", "camera", "message"),
    [
        ("camera:77", "", "camera:77: cannot open /dev/video77"),
        ("camera:x", "", "a camera is named by its number"),
        ("camera:0", "NV12 64 48", "neither JPEG frames nor YUYV"),
        ("camera:0", "YUYV 0 48", "impossible size"),
        ("nowhere.avi", "", "no such file or folder"),
    ],
)
def test_cameras_that_cannot_be_used(program: Path, tmp_path: Path, source: str, camera: str, message: str) -> None:
    code, said, pictures = read(program, tmp_path / "out", source, camera)
    assert (code, message in said, pictures) == (2, True, []), said


def test_altered_pictures_and_videos_are_read_or_refused(program: Path, tmp_path: Path) -> None:
    """A sanitizer would end the program with another code."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)).save(tmp_path / "a.png")
    good = {
        "a.png": (tmp_path / "a.png").read_bytes(),
        "a.jpg": jpeg(90),
        "a.avi": picture_program.avi([jpeg(30), jpeg(90)]),
    }
    for seed in range(24):
        name = sorted(good)[seed % 3]
        (tmp_path / name).write_bytes(mutated_bytes(good[name], seed))
        code, said, _ = read(program, tmp_path / f"out{seed}", str(tmp_path / name))
        assert code in (0, 2), (seed, said)
