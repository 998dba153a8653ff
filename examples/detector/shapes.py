"""The shapes, digits and textures of the demo's pictures, each a function of coordinates."""

import math
from collections.abc import Callable

import numpy as np

Inks = np.ndarray  # int8 [h, w]: 0 outside, 1 first colour, 2 second colour
Shape = Callable[[np.ndarray, np.ndarray], Inks]  # of float32 coordinates; the shape lies within [-1, 1] x [-1, 1]


def _polygon(sides: int, needed: int) -> Shape:
    """Points inside at least `needed` of the half planes of a regular polygon: convex, or a star where one may miss."""
    angles = [2 * math.pi * side / sides + math.pi / 2 for side in range(sides)]
    # How far from the centre the sides must be for the tips to lie on the unit circle.
    reach = math.cos(math.pi / sides * (1 + sides - needed))

    def inside(u: np.ndarray, v: np.ndarray) -> Inks:
        planes = [(math.cos(a) * u + math.sin(a) * v <= reach).astype(np.int8) for a in angles]
        return (sum(planes) >= needed).astype(np.int8)

    return inside


def _glyph(rows: str) -> Shape:
    """A digit drawn as a bitmap, rows separated by spaces."""
    bitmap = np.array([[cell == "#" for cell in row] for row in rows.split()], np.int8)
    bitmap = np.pad(bitmap, 1)
    height, width = bitmap.shape

    def inside(u: np.ndarray, v: np.ndarray) -> Inks:
        column = np.clip((u + 1) * ((width - 2) / 2) + 1, 0, width - 1).astype(np.intp)
        row = np.clip((v + 1) * ((height - 2) / 2) + 1, 0, height - 1).astype(np.intp)
        return bitmap[row, column]

    return inside


def square(u: np.ndarray, v: np.ndarray) -> Inks:
    """Fill the whole of [-1, 1] x [-1, 1]."""
    return ((np.abs(u) <= 1) & (np.abs(v) <= 1)).astype(np.int8)


def disc(u: np.ndarray, v: np.ndarray) -> Inks:
    """Fill the unit circle."""
    return (u * u + v * v <= 1).astype(np.int8)


def _ring(u: np.ndarray, v: np.ndarray) -> Inks:
    squared_radius = u * u + v * v
    return ((squared_radius <= 1) & (squared_radius >= 0.36)).astype(np.int8)


def _cross(u: np.ndarray, v: np.ndarray) -> Inks:
    a, b = np.abs(u), np.abs(v)
    return ((np.maximum(a, b) <= 1) & (np.minimum(a, b) <= 0.3)).astype(np.int8)


def _corner(u: np.ndarray, v: np.ndarray) -> Inks:
    return square(u, v) * ((u <= -0.4) | (v >= 0.4)).astype(np.int8)


def _checker(u: np.ndarray, v: np.ndarray) -> Inks:
    parity = ((u + 1) * 2).astype(np.int8) + ((v + 1) * 2).astype(np.int8)
    return square(u, v) * (1 + parity % 2)


def _stripes(u: np.ndarray, v: np.ndarray) -> Inks:
    return square(u, v) * (1 + ((u + 1) * 2.5).astype(np.int8) % 2)


OBJECT_SHAPES: dict[str, Shape] = {
    "ring": _ring,
    "triangle": _polygon(3, needed=3),
    "cross": _cross,
    "star": _polygon(5, needed=4),
    "checker": _checker,
    "stripes": _stripes,
    "two": _glyph(".###. #...# ....# ..##. .#... #.... #####"),
    "five": _glyph("##### #.... ####. ....# ....# #...# .###."),
}
CLASSES = tuple(OBJECT_SHAPES)
UPRIGHT = ("two", "five")  # classes that a large rotation would confuse

DISTRACTORS: tuple[Shape, ...] = (
    disc,
    square,
    _corner,
    _polygon(6, needed=6),
    _glyph(".###. #...# ....# ..##. ....# #...# .###."),
    _glyph("##### ....# ...#. ..#.. ..#.. .#... .#..."),
)
