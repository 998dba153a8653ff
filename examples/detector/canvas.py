"""A picture that shapes are drawn onto with antialiasing, and that keeps its objects visible."""

import math
from dataclasses import dataclass

import numpy as np
from shapes import Inks, Shape

SUPERSAMPLING = 2  # subpixels along each axis
MIN_VISIBLE = 0.6  # of an object's pixels, after everything drawn over it
MIN_AREA = 12  # pixels of a shape within the picture

Window = tuple[slice, slice]  # rows and columns of the picture


@dataclass(frozen=True)
class Pose:
    """Where a shape lies: centre and half axes in pixels, angle in radians."""

    x: float
    y: float
    half_width: float
    half_height: float
    angle: float


class Canvas:
    """A float32 picture that knows which object owns each pixel."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.boxes: list[tuple[float, float, float, float]] = []
        self.labels: list[int] = []
        self._areas: list[int] = []
        self._owner = np.full(pixels.shape[:2], -1, np.int8)

    def draw(self, shape: Shape, pose: Pose, colours: np.ndarray, label: int | None = None) -> bool:
        """Draw `shape` in float32 [2, 3] `colours` unless it would hide an earlier object; return whether it did."""
        window, inks = _rasterize(shape, pose, self._owner.shape)
        first, second = _coverage(inks == 1), _coverage(inks == 2)
        solid = first + second > 0.5
        if solid.sum() < MIN_AREA:
            return False
        owner = self._owner.copy()
        owner[window][solid] = len(self.boxes) if label is not None else -1
        if any((owner == k).sum() < MIN_VISIBLE * area for k, area in enumerate(self._areas)):
            return False
        self._owner = owner
        below = self.pixels[window] * (1 - first - second)[..., None]
        self.pixels[window] = below + first[..., None] * colours[0] + second[..., None] * colours[1]
        if label is not None:
            self.boxes.append(_bounds(window, inks > 0))
            self.labels.append(label)
            self._areas.append(int(solid.sum()))
        return True


def _rasterize(shape: Shape, pose: Pose, size: tuple[int, ...]) -> tuple[Window, Inks]:
    """Return the window of the picture that the shape touches and the inks of its subpixels."""
    cosine, sine = math.cos(pose.angle), math.sin(pose.angle)
    reach_x = abs(cosine) * pose.half_width + abs(sine) * pose.half_height
    reach_y = abs(sine) * pose.half_width + abs(cosine) * pose.half_height
    columns, xs = _axis(pose.x, reach_x, size[1])
    rows, ys = _axis(pose.y, reach_y, size[0])
    u = (xs * cosine)[None, :] + (ys * sine)[:, None]
    v = (ys * cosine)[:, None] - (xs * sine)[None, :]
    return (rows, columns), shape(u / np.float32(pose.half_width), v / np.float32(pose.half_height))


def _axis(centre: float, reach: float, size: int) -> tuple[slice, np.ndarray]:
    """Return the pixels within `reach` of `centre` along one axis, and their subpixels' float32 distances from it."""
    start, stop = (min(max(edge, 0), size) for edge in (math.floor(centre - reach), math.ceil(centre + reach)))
    subpixels = np.arange(start * SUPERSAMPLING, stop * SUPERSAMPLING)
    return slice(start, stop), ((subpixels + 0.5) / SUPERSAMPLING - centre).astype(np.float32)


def _coverage(mask: np.ndarray) -> np.ndarray:
    """Average a bool mask of subpixels to the float32 coverage of its pixels."""
    n = SUPERSAMPLING
    counts = sum(mask[y::n, x::n].astype(np.float32) for y in range(n) for x in range(n))
    return counts / np.float32(n * n)


def _bounds(window: Window, mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return the tight box around a mask of subpixels, in pixels of the picture."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = window[1].start, window[0].start
    n = SUPERSAMPLING
    return left + columns[0] / n, top + rows[0] / n, left + (columns[-1] + 1) / n, top + (rows[-1] + 1) / n
