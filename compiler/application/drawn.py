"""`Drawn`: writes pictures with results drawn onto them, as a folder of files or a video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgec.errors import BadOption
from edgec.whole_file import whole_file

RATE = 25.0
"""Frames per second of a video whose source does not give a rate."""
VIDEO = "drawn.mp4"


class Drawn:
    """Writes to `folder`, which is created: pictures as .png files with their names, frames of a video as one .mp4.

    Raises:
        BadOption: The folder cannot be created.
    """

    def __init__(self, folder: Path, *, moving: bool, rate: float) -> None:
        self._folder, self._moving, self._rate = folder, moving, rate or RATE
        self._writer: Any = None
        self._taken: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadOption(f"output {folder}: {error.strerror}", remedy="Give the name of a folder.") from error

    def write(self, name: str, picture: Image.Image) -> Path:
        """Write one picture and return the path of its file."""
        return self._frame(picture) if self._moving else self._picture(name, picture)

    def close(self) -> None:
        """Finish a video."""
        if self._writer is not None:
            self._writer.release()

    def _picture(self, name: str, picture: Image.Image) -> Path:
        stem = str(Path(name).with_suffix(""))
        safe = stem if stem not in self._taken else name.replace(".", "_")  # a.jpg and a.png are two pictures
        self._taken.add(safe)
        path = self._folder / f"{safe}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as staged:
            picture.save(staged, "PNG")
        return path

    def _frame(self, picture: Image.Image) -> Path:
        import cv2  # noqa: PLC0415

        path = self._folder / VIDEO
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(path), code, self._rate, picture.size)
        self._writer.write(np.ascontiguousarray(np.asarray(picture)[..., ::-1]))
        return path
