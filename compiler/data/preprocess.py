"""Reads pictures, applies a `Preprocessing` record to them, and records where each pixel went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from edgec.data.placement import Placement
from edgec.errors import BadOption, reason
from edgec.model.signature import TensorSpec, batched, check_array
from edgec.preprocessing import Preprocessing
from edgec.registry import suggest

LETTERBOX_GREY = (114, 114, 114)  # the padding value of YOLO tools


def picture_to_tensor(picture: Image.Image, spec: TensorSpec, how: Preprocessing) -> np.ndarray[Any, Any]:
    """Return `picture` as the array for input `spec`: [1, C, H, W] or [1, H, W, C], or the same without the first axis.

    Raises:
        BadOption: As `place_picture`.
    """
    return place_picture(picture, spec, how)[0]


def place_picture(picture: Image.Image, spec: TensorSpec, how: Preprocessing) -> tuple[np.ndarray[Any, Any], Placement]:
    """Return `picture` as the array that input `spec` needs, see `picture_to_tensor`, and its position in it.

    Raises:
        BadOption: The input is not a picture (rank, channels), or it has an integer type that cannot hold the values
            that `how` makes of pixels.
    """
    shape = batched(spec.shape)
    if len(shape) != 4 or shape[0] != 1:
        raise BadOption(f"input {spec} cannot be filled from a single picture", remedy="Give a .npy file for it.")
    channels, height, width = shape[1:] if how.layout == "NCHW" else (shape[3], *shape[1:3])
    if channels != how.channels:
        remedy = "Set colour and layout by --preprocess, or give a .npy file."
        problem = f"input {spec} has {channels} channels as {how.layout}, but the colour is {how.colour}"
        raise BadOption(problem, remedy=remedy)
    _check_levels(spec, how)
    resized, placement = _resize(picture.convert("L" if how.colour == "grey" else "RGB"), (width, height), how)
    pixels = np.asarray(resized, np.float32).reshape(height, width, channels)
    if how.colour == "bgr":
        pixels = pixels[..., ::-1]
    tensor = _scaled(pixels, how)
    if how.resize == "line":  # the padding is zero after normalization, not before
        tensor[:, round(picture.width * placement.scale[0]) :] = 0
    if how.layout == "NCHW":
        tensor = tensor.transpose(2, 0, 1)
    return np.ascontiguousarray(tensor.reshape(spec.shape)).astype(spec.dtype), placement


def read_inputs(
    files: Mapping[str, Path], specs: Sequence[TensorSpec], how: Preprocessing
) -> dict[str, np.ndarray[Any, Any]]:
    """Read .npy files and pictures, input name -> file, as arrays for the inputs `specs`.

    Raises:
        BadOption: A name is not an input (near matches are listed), or as `read_input`.
    """
    by_name = {spec.name: spec for spec in specs}
    for name in files:
        if name not in by_name:
            raise BadOption(f"--input: no input is called {name!r}", remedy=suggest(name, by_name))
    return {name: read_input(path, by_name[name], how) for name, path in files.items()}


def read_input(path: Path, spec: TensorSpec, how: Preprocessing) -> np.ndarray[Any, Any]:
    """Read the .npy file or picture `path` as the array for input `spec`.

    Raises:
        BadOption: The file is missing or of unknown kind, or its array does not fit the input.
    """
    if path.suffix != ".npy":
        return picture_to_tensor(read_picture(path, remedy="Give a .npy file or a picture."), spec, how)
    try:
        with path.open("rb") as file:  # numpy.load would accept a .npz file of that name too
            array: np.ndarray[Any, Any] = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadOption(f"input file {path}: {reason(error)}", remedy="Write it with numpy.save.") from error
    check_array(array, spec, str(path))
    return array


def read_picture(path: Path, *, remedy: str = "Replace it, or remove it from the data.") -> Image.Image:
    """Read a whole picture, rotated as its EXIF orientation says, as viewers and labelling tools show it.

    Grey pictures of 16 bits are reduced to the upper 8, as Pillow does with 16-bit colours.

    Raises:
        BadOption: It is missing, damaged, unreasonably large, not a picture, or has pixels without a known range.
    """
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
    except Exception as error:  # Pillow's decoders may raise any exception on a damaged file
        raise BadOption(f"picture {path}: {error}", remedy=remedy) from error
    if upright.mode != "F" and not upright.mode.startswith("I"):
        return upright
    pixels = np.asarray(upright)
    if pixels.dtype.kind == "f" or pixels.min() < 0 or pixels.max() >= 2**16:
        raise BadOption(f"picture {path}: its 32-bit pixels have no known range", remedy="Convert it to 8 bits.")
    return eight_bits(upright)


def eight_bits(picture: Image.Image) -> Image.Image:
    """Return a picture with 8 bits if its pixels have 16, which Pillow's own conversion would clip."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))


def _scaled(pixels: np.ndarray[Any, Any], how: Preprocessing) -> np.ndarray[Any, Any]:
    """Return float32 [..., channels] pixels in the network's units."""
    scale, mean, std = np.float32(how.scale), np.array(how.mean, np.float32), np.array(how.std, np.float32)
    scaled: np.ndarray[Any, Any] = (pixels * scale - mean) / std
    return scaled


def _check_levels(spec: TensorSpec, how: Preprocessing) -> None:
    """Raise an error if an integer input cannot hold all values that `how` makes of pixels."""
    if "float" in spec.dtype:
        return
    levels = _scaled(np.arange(256, dtype=np.float32)[:, None], how)
    with np.errstate(invalid="ignore"):
        wrong = levels[levels.astype(spec.dtype).astype(np.float32) != levels]
    if wrong.size:
        remedy = "For whole numbers 0..255 give --preprocess scale=1, for -128..127 scale=1,mean=128."
        raise BadOption(f"input {spec} cannot hold what --preprocess makes of pixels: {wrong[0]:g}", remedy=remedy)


def _resize(picture: Image.Image, size: tuple[int, int], how: Preprocessing) -> tuple[Image.Image, Placement]:
    """Return the picture resized to `size` (width, height), and its position there."""
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
    """Return the size to which the picture is resized, and the position of its upper left corner; width, height."""
    if how.resize == "stretch":
        return size, (0, 0)
    if how.resize == "line":
        return (min(size[0], math.ceil(picture[0] * size[1] / picture[1])), size[1]), (0, 0)
    ratios = (size[0] / picture[0], size[1] / picture[1])
    if how.resize == "letterbox":
        inner = (max(1, round(picture[0] * min(ratios))), max(1, round(picture[1] * min(ratios))))
        return inner, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    # Rounded like torchvision's Resize and CenterCrop, with which most classifiers were trained.
    short = 0 if ratios[0] > ratios[1] else 1
    sides = [round(size[short] / how.crop_fraction)] * 2
    sides[1 - short] = max(size[1 - short], int(sides[short] * picture[1 - short] / picture[short]))
    return (sides[0], sides[1]), (-round((sides[0] - size[0]) / 2), -round((sides[1] - size[1]) / 2))
