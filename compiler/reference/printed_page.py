"""Synthetic pictures: a page of glyph-like strokes, which is the default golden input, and random shapes.

On noise some networks return almost nothing (a text detector's map stays below 1e-5), and errors relative to the
range of such an output are rounding noise. On lines of strokes they respond as to printed text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgec.model.signature import TensorSpec, batched

Array = np.ndarray[Any, Any]

PAPER, INK = 0.9, 0.1
MIN_SIDE = 16
"""Minimum side length in pixels: below it there is no room for a line of glyphs."""
LINES = 8
STROKES = 4
"""Number of strokes of a glyph."""
SHAPES = 60
SHAPES_SEED = 1 << 32
"""Offset that separates these seeds from those of pages."""
PIXEL = 256


def is_picture(spec: TensorSpec) -> bool:
    """Whether `spec` looks like a batch of pictures: float, [N, C, H, W] or [N, H, W, C] with 1 or 3 channels.

    One picture without a batch has 3 channels: with one, it could be a sequence of features.
    """
    shape, depths = batched(spec.shape), (1, 3) if len(spec.shape) == 4 else (3,)
    if len(shape) != 4 or np.dtype(spec.dtype).kind != "f":
        return False
    sides = shape[2:] if shape[1] in depths else shape[1:3] if shape[3] in depths else (0,)
    return min(sides) >= MIN_SIDE


def printed_page(spec: TensorSpec, seed: int) -> Array:
    """Return pages for `spec`, for which `is_picture` holds: values in [0, 1], different per channel and picture.

    They are made from the raw output of the Philox generator, which numpy promises never to change.
    """
    first, (batch, channels, height, width) = _sizes(spec)
    pages = np.stack([_page(height, width, seed + index) for index in range(batch)])[:, None]
    tint = 1 - 0.05 * np.arange(channels).reshape(1, -1, 1, 1)
    tensor = pages * tint
    return _as_input(tensor, spec, first)


def random_shapes(spec: TensorSpec, seed: int) -> Array:
    """Return overlapping rectangles for `spec`, for which `is_picture` holds: values in [0, 1], one colour each."""
    first, (batch, channels, height, width) = _sizes(spec)
    below = _dice(seed + SHAPES_SEED)
    tensor = np.full((batch, channels, height, width), 0.5)
    for picture in tensor:
        for index in range(SHAPES):
            # The first rectangles are large and the last ones small, so that later ones do not cover all earlier ones.
            tall, wide = (1 + below(max(2, side * (SHAPES - index) // SHAPES)) for side in (height, width))
            top, left = below(height) - tall // 2, below(width) - wide // 2
            rows, columns = slice(max(0, top), max(0, top + tall)), slice(max(0, left), max(0, left + wide))
            picture[:, rows, columns] = np.array([below(PIXEL) for _ in range(channels)])[:, None, None] / (PIXEL - 1)
    return _as_input(tensor, spec, first)


def _sizes(spec: TensorSpec) -> tuple[bool, tuple[int, int, int, int]]:
    """Return whether the channels come first, and number, channels, height and width of the pictures of `spec`."""
    number, first, middle, last = batched(spec.shape)
    return (True, (number, first, middle, last)) if first in (1, 3) else (False, (number, last, first, middle))


def _as_input(pictures: np.ndarray[Any, Any], spec: TensorSpec, first: bool) -> np.ndarray[Any, Any]:
    """Return `pictures`, [N, C, H, W], as the array for `spec`."""
    laid_out = pictures if first else pictures.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(laid_out.reshape(spec.shape)).astype(spec.dtype)


def _dice(seed: int) -> Callable[[int], int]:
    generator = np.random.Philox(key=seed)
    return lambda limit: int(generator.random_raw()) % max(1, limit)


def _page(height: int, width: int, seed: int) -> Array:
    below = _dice(seed)
    page = PAPER - 0.3 * np.tile(np.arange(width) / width, (height, 1))
    size = max(8, min(height, width) // (2 * LINES))
    glyph, stroke, gap = max(4, size // 2), max(1, size // 8), max(2, size // 6)
    for top in range(size // 2, height - size + 1, 2 * size):
        left = size // 2
        while left + glyph < width:
            if below(5):  # every fifth one on average is a space between words
                for _ in range(STROKES):
                    y, x = top + below(size - stroke), left + below(glyph - stroke)
                    if below(2):
                        page[y : y + stroke, left : left + glyph] = INK
                    else:
                        page[top : top + size, x : x + stroke] = INK
            left += glyph + gap
    return page
