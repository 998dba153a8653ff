"""Apply a `Preprocessing` record to pictures, and say where each pixel went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from edgec.data.placement import Placement
from edgec.errors import BadOption
from edgec.model.signature import TensorSpec, check_array
from edgec.preprocessing import Preprocessing
from edgec.registry import suggest

LETTERBOX_GREY = (114, 114, 114)  # the value YOLO tools pad with


def picture_to_tensor(picture: Image.Image, spec: TensorSpec, how: Preprocessing) -> np.ndarray[Any, Any]:
    """Return `picture` as the array that input `spec` wants: shape [1, C, H, W] or [1, H, W, C], dtype of the input.

    Raises:
        BadOption: The input is no picture (rank, channels), or mean and std do not fit its channels.
    """
    return place_picture(picture, spec, how)[0]


def place_picture(picture: Image.Image, spec: TensorSpec, how: Preprocessing) -> tuple[np.ndarray[Any, Any], Placement]:
    """Return `picture` as the array that input `spec` wants, as `picture_to_tensor`, and where it lies in it.

    Raises:
        BadOption: The input is no picture (rank, channels), or mean and std do not fit its channels.
    """
    if len(spec.shape) != 4 or spec.shape[0] != 1:
        raise BadOption(f"input {spec} takes no single picture", remedy="Give a .npy file for it.")
    channels, height, width = spec.shape[1:] if how.layout == "NCHW" else (spec.shape[3], *spec.shape[1:3])
    if channels != (1 if how.colour == "grey" else 3):
        remedy = "Set colour and layout by --preprocess, or give a .npy file."
        raise BadOption(f"input {spec} has {channels} channels as {how.layout}, colour is {how.colour}", remedy=remedy)
    for name in ("mean", "std"):
        if len(getattr(how, name)) not in (1, channels):
            raise BadOption(f"--preprocess: {name} has {len(getattr(how, name))} values for {channels} channels")
    resized, placement = _resize(picture.convert("L" if how.colour == "grey" else "RGB"), (width, height), how)
    pixels = np.asarray(resized, np.float32).reshape(height, width, channels)
    if how.colour == "bgr":
        pixels = pixels[..., ::-1]
    tensor = (pixels * np.float32(how.scale) - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    if how.resize == "line":  # the padding is zero in the network's units, not in the picture's
        tensor[:, round(picture.width * placement.scale[0]) :] = 0
    if how.layout == "NCHW":
        tensor = tensor.transpose(2, 0, 1)
    return np.ascontiguousarray(tensor[None]).astype(spec.dtype), placement


def read_inputs(
    files: Mapping[str, Path], specs: Sequence[TensorSpec], how: Preprocessing
) -> dict[str, np.ndarray[Any, Any]]:
    """Read .npy files and pictures, input name -> file, as arrays for the inputs `specs`.

    Raises:
        BadOption: A name is no input (near matches are listed), or as `read_input`.
    """
    by_name = {spec.name: spec for spec in specs}
    for name in files:
        if name not in by_name:
            raise BadOption(f"--input: no input is called {name!r}", remedy=suggest(name, by_name))
    return {name: read_input(path, by_name[name], how) for name, path in files.items()}


def read_input(path: Path, spec: TensorSpec, how: Preprocessing) -> np.ndarray[Any, Any]:
    """Read the .npy file or picture `path` as the array for input `spec`.

    Raises:
        BadOption: The file is missing, of no known kind, or its array does not fit the input.
    """
    if path.suffix != ".npy":
        try:
            with Image.open(path) as picture:
                return picture_to_tensor(picture, spec, how)
        except (OSError, UnidentifiedImageError) as error:
            raise BadOption(f"input file {path}: {error}", remedy="Give a .npy file or a picture.") from error
    try:
        array: np.ndarray[Any, Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadOption(f"input file {path}: {error}", remedy="Write it with numpy.save.") from error
    check_array(array, spec, str(path))
    return array


def _resize(picture: Image.Image, size: tuple[int, int], how: Preprocessing) -> tuple[Image.Image, Placement]:
    """Return the picture at `size` (width, height), and where it lies there."""
    inner, offset = _fit((picture.width, picture.height), size, how)
    scale = (inner[0] / picture.width, inner[1] / picture.height)
    placement = Placement((picture.width, picture.height), size, scale, (float(offset[0]), float(offset[1])))
    resized = picture.resize(inner, Image.Resampling.BILINEAR)
    if inner == size:
        return resized, placement
    canvas = Image.new("RGB", size, LETTERBOX_GREY).convert(picture.mode)
    canvas.paste(resized, offset)
    return canvas, placement


def _fit(
    picture: tuple[int, int], size: tuple[int, int], how: Preprocessing
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size the whole picture is brought to, and where its upper left corner then lies; width, height."""
    if how.resize == "stretch":
        return size, (0, 0)
    if how.resize == "line":
        return (min(size[0], math.ceil(picture[0] * size[1] / picture[1])), size[1]), (0, 0)
    ratios = (size[0] / picture[0], size[1] / picture[1])
    if how.resize == "letterbox":
        inner = (max(1, round(picture[0] * min(ratios))), max(1, round(picture[1] * min(ratios))))
        return inner, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    # Rounded as torchvision's Resize and CenterCrop do, with which most classifiers were trained.
    short = 0 if ratios[0] > ratios[1] else 1
    sides = [round(size[short] / how.crop_fraction)] * 2
    sides[1 - short] = max(size[1 - short], int(sides[short] * picture[1 - short] / picture[short]))
    return (sides[0], sides[1]), (-round((sides[0] - size[0]) / 2), -round((sides[1] - size[1]) / 2))
