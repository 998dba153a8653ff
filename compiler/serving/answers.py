"""`Answers`: what the network says of pictures, for several callers at once."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from edgec.application.predictor import Predictor
from edgec.application.results.base import Result
from edgec.errors import BadOption

MOST_PIXELS = 50_000_000
"""Of a picture; it takes twelve bytes for each of them, for a moment."""


class Answers:
    """Predicts; the network runs for one picture at a time, all else side by side.

    Args:
        predictor: Of an open artefact.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._lock = Lock()
        self._run = predictor.run
        self._predictor = Predictor(self._in_turn, predictor.inputs, predictor.preprocessing, predictor.decoder)

    def of_file(self, content: bytes, *, draw: bool) -> dict[str, Any]:
        """Return the result of a picture file as JSON has it, with `ms` of each stage, and `drawn` if asked for.

        Raises:
            BadOption: It is no picture that can be read, or a very large one.
        """
        try:
            picture = Image.open(io.BytesIO(content))
        except Exception as error:  # Pillow's decoders raise whatever a damaged file leads to
            raise BadOption("the body is no picture", remedy="Send the content of a JPEG or PNG file.") from error
        if picture.width * picture.height > MOST_PIXELS:
            problem = f"the picture has {picture.width}x{picture.height} pixels, at most {MOST_PIXELS} are taken"
            raise BadOption(problem, remedy="Send a smaller one.")
        result, row = self.of_picture(picture)
        if draw:
            row["drawn"] = f"data:image/jpeg;base64,{base64.b64encode(jpeg(result.draw(picture))).decode('ascii')}"
        return row

    def of_picture(self, picture: Image.Image) -> tuple[Result, dict[str, Any]]:
        """Return the result of a picture, and the same as JSON has it, with `ms` of each stage.

        Raises:
            BadOption: The picture cannot be read, or the outputs do not fit the decoder.
        """
        result, seconds = self._predictor.timed(picture)
        return result, result.to_dict() | {"ms": {stage: round(1e3 * each, 3) for stage, each in seconds.items()}}

    def _in_turn(self, feeds: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        with self._lock:
            return self._run(feeds)


def jpeg(picture: Image.Image) -> bytes:
    """Return a picture as a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
