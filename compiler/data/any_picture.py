"""`as_picture`: converts a picture in any form that a user may have to a Pillow image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from edgec.data.preprocess import eight_bits, read_picture
from edgec.errors import BadOption

AnyPicture = str | os.PathLike[str] | np.ndarray[Any, Any] | Image.Image
"""A path, an array [height, width, 3] uint8 in RGB (or [height, width]: grey, or 4 channels: RGB and alpha), or a
Pillow image."""

REMEDY = "Give a path, an array uint8 [height, width, 3] in RGB, or a PIL picture."


def as_picture(given: AnyPicture) -> Image.Image:
    """Return `given` as a picture, rotated as its EXIF orientation says.

    Raises:
        BadOption: The file cannot be read, or `given` is not a picture; the message says what it is.
    """
    if isinstance(given, (str, os.PathLike)):
        return read_picture(Path(given), remedy="Give a picture that can be read.")
    if isinstance(given, Image.Image):
        try:
            return eight_bits(ImageOps.exif_transpose(given))
        except Exception as error:  # Pillow decodes an image only when its pixels are read
            raise BadOption(f"picture {getattr(given, 'filename', '')}: {error}", remedy=REMEDY) from error
    if isinstance(given, np.ndarray):
        return _from_array(given)
    raise BadOption(f"{type(given).__name__} is not a picture", remedy=REMEDY)


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    got = f"an array {array.dtype.name}[{'x'.join(map(str, array.shape))}]"
    pixels = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.dtype != np.uint8:
        remedy = "Convert it to 0..255 and .astype(numpy.uint8); edgec applies the network's scaling."
        raise BadOption(f"{got} is not a picture: pixels must be uint8", remedy=remedy)
    if 0 in array.shape:
        raise BadOption(f"{got} is not a picture: it is empty", remedy=REMEDY)
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        return Image.fromarray(np.ascontiguousarray(pixels))
    remedy = REMEDY
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        remedy = "Its channels come first: give array.transpose(1, 2, 0)."
    elif array.ndim == 4:
        remedy = "For several pictures, give a list: list(array)."
    raise BadOption(f"{got} is not a picture", remedy=remedy)
