"""`open_source`: pictures from a file, a folder, a video or a camera."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgec.data.pictures import find_pictures
from edgec.data.preprocess import read_picture
from edgec.errors import BadOption, MissingDependency
from edgec.extras import install

CAMERA = re.compile(r"camera:(\d+)")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mjpeg")
FORMS = "Give a picture, a folder of pictures, a video, or camera:0."


@dataclass(frozen=True)
class Frame:
    """One picture with its name, that of its file or `frame000001`, and the seconds that reading it took."""

    name: str
    picture: Image.Image
    seconds: float


@dataclass(frozen=True)
class Source:
    """Pictures, one after the other.

    Attributes:
        frames: The pictures, which are read one by one.
        moving: Whether they come from a video or a camera.
        rate: Frames per second of a video or camera; 0 if unknown.
    """

    frames: Iterator[Frame]
    moving: bool = False
    rate: float = 0.0


def is_source(given: str) -> bool:
    """Whether `given` names a video, a folder or a camera, and not a single file that might contain a tensor."""
    return bool(CAMERA.fullmatch(given)) or Path(given).suffix.lower() in VIDEO_SUFFIXES or Path(given).is_dir()


@contextmanager
def open_source(given: str) -> Iterator[Source]:
    """Yield the pictures that `given` names: a file, a folder (and the files in it), a video, or `camera:N`.

    Raises:
        BadOption: It does not exist or cannot be read; this may also be raised while frames are read.
        MissingDependency: A video or a camera is given, but OpenCV is not installed.
    """
    if given.startswith("camera:"):
        yield from _moving(_camera(given), f"{given} stopped delivering pictures", endless=True)
    elif Path(given).is_dir():
        folder = Path(given)
        pictures = find_pictures(folder)
        yield Source(_read(path, path.relative_to(folder).as_posix()) for path in pictures)
    elif Path(given).suffix.lower() in VIDEO_SUFFIXES:
        yield from _moving(_video(Path(given)), "", endless=False)
    else:
        path = Path(given)
        if not path.exists():
            raise BadOption(f"--input {given}: no such file or folder", remedy=FORMS)
        yield Source(iter([_read(path, path.name)]))


def _read(path: Path, name: str) -> Frame:
    begin = time.perf_counter()
    picture = read_picture(path, remedy=FORMS)
    return Frame(name, picture, time.perf_counter() - begin)


def _moving(capture: Any, stopped: str, *, endless: bool) -> Iterator[Source]:
    """Yield the frames of an open capture of OpenCV's, and close it."""
    import cv2  # noqa: PLC0415

    def frames() -> Iterator[Frame]:
        number = 0
        while True:
            begin = time.perf_counter()
            there, bgr = capture.read()
            if not there:
                break
            number += 1
            picture = Image.fromarray(np.ascontiguousarray(bgr[..., ::-1]))
            yield Frame(f"frame{number:06}", picture, time.perf_counter() - begin)
        if endless or number == 0:
            remedy = "Check its cable." if stopped else "Check it with a player."
            raise BadOption(stopped or "the video contains no readable frame", remedy=remedy)

    try:
        yield Source(frames(), moving=True, rate=float(capture.get(cv2.CAP_PROP_FPS)) or 0.0)
    finally:
        capture.release()


def _camera(given: str) -> Any:
    number = CAMERA.fullmatch(given)
    if number is None:
        raise BadOption(f"--input {given}: a camera is named by its number", remedy="For /dev/video0, give camera:0.")
    device = Path(f"/dev/video{int(number[1])}")
    if not device.exists():
        there = sorted(path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
        remedy = f"Cameras here: {', '.join(f'camera:{each}' for each in there) or 'none'}."
        raise BadOption(f"--input {given}: there is no {device}", remedy=remedy)
    capture = _opencv().VideoCapture(int(number[1]))
    if not capture.isOpened():
        raise BadOption(f"--input {given}: {device} cannot be opened", remedy="Close other programs that use it.")
    return capture


def _video(path: Path) -> Any:
    if not path.is_file():
        raise BadOption(f"--input {path}: no such file", remedy=FORMS)
    capture = _opencv().VideoCapture(str(path))
    if not capture.isOpened():
        raise BadOption(f"--input {path}: it cannot be read as a video", remedy="Convert it, e.g. to .mp4.")
    return capture


def _opencv() -> Any:
    try:
        import cv2  # noqa: PLC0415
    except ImportError as error:
        remedy = install("video")
        raise MissingDependency("OpenCV is needed for videos and cameras", remedy=remedy) from error
    return cv2
