"""Deterministic pictures of rotated shapes, digits and textures over clutter, drawn by numpy alone.

A (seed, index) pair gives the same bytes in every run: the pixels depend on uniform random bits and on arithmetic that
IEEE 754 defines to the last bit, but for the poses' sines, cosines and powers, which come from the C library.
"""

import math
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from canvas import Canvas, Pose
from shapes import DISTRACTORS, OBJECT_SHAPES, UPRIGHT, disc, square

SIZE = 160  # pixels, height and width
CLASSES = tuple(OBJECT_SHAPES)
SPLIT_SEEDS = {"train": 1_000_003, "calibration": 2_000_003, "validation": 3_000_017}

OBJECTS = (2, 8)  # placement attempts a picture, upper end excluded
RADIUS = (9.0, 30.0)  # pixels, half of the side of an upright square
MARGIN = 8.0  # pixels between the centre of an object and the border
MIN_CONTRAST = 100.0  # sum of the channel differences to the colour below the object's centre
MAX_NOISE = 22.0  # standard deviation in grey levels of the noisiest picture


class Sample(NamedTuple):
    """One picture: uint8 [SIZE, SIZE, 3] RGB, float32 [n, 4] boxes as x0 y0 x1 y1 in pixels, int64 [n] labels."""

    picture: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def render(seed: int, index: int) -> Sample:
    """Draw picture `index` of the split whose seed is `seed`."""
    rng = np.random.Generator(np.random.PCG64([seed, index]))
    canvas = Canvas(_background(rng))
    for _ in range(rng.integers(8, 20)):
        _draw_clutter(rng, canvas)
    for _ in range(rng.integers(*OBJECTS)):
        _draw_object(rng, canvas)
    for _ in range(rng.integers(2, 7)):
        _draw_occluder(rng, canvas)
    boxes = np.array(canvas.boxes, np.float32).reshape(-1, 4)
    return Sample(_expose(rng, canvas.pixels), boxes, np.array(canvas.labels, np.int64))


def split(name: str, count: int, processes: int = 1) -> list[Sample]:
    """Draw the first `count` pictures of "train", "calibration" or "validation"."""
    draw = partial(render, SPLIT_SEEDS[name])
    if processes == 1:
        return [draw(index) for index in range(count)]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(draw, range(count), chunksize=64))


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())


def _colours(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (2, 3)).astype(np.float32)


def _background(rng: np.random.Generator) -> np.ndarray:
    """Blend a coarse and a finer grid of random colours, enlarged bilinearly, to float32 [SIZE, SIZE, 3]."""
    coarse = rng.integers(0, 256, (3, 3, 3)).astype(np.float32)
    fine = rng.integers(-40, 41, (21, 21, 3)).astype(np.float32)
    return _enlarge(coarse) + _enlarge(fine) * np.float32(rng.random())


def _enlarge(grid: np.ndarray) -> np.ndarray:
    """Enlarge a float32 [n, n, 3] grid bilinearly to [SIZE, SIZE, 3]."""
    position = np.arange(SIZE) * ((len(grid) - 1) / SIZE)
    lower = position.astype(np.intp)
    weight = (position - lower).astype(np.float32)
    rows = grid[lower] * (1 - weight)[:, None, None] + grid[lower + 1] * weight[:, None, None]
    return rows[:, lower] * (1 - weight)[None, :, None] + rows[:, lower + 1] * weight[None, :, None]


def _draw_clutter(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw a stroke, a blob or a distractor that is of no class."""
    kind = rng.integers(0, 3)
    x, y, angle = _uniform(rng, 0, SIZE), _uniform(rng, 0, SIZE), _uniform(rng, 0, 2 * math.pi)
    if kind == 0:
        shape, half_width, half_height = square, _uniform(rng, 10, 70), _uniform(rng, 0.7, 3)
    elif kind == 1:
        shape, half_width, half_height = disc, _uniform(rng, 5, 35), _uniform(rng, 3, 20)
    else:
        shape = DISTRACTORS[rng.integers(0, len(DISTRACTORS))]
        half_width = half_height = _uniform(rng, *RADIUS)
    canvas.draw(shape, Pose(x, y, half_width, half_height, angle), _colours(rng))


def _draw_object(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw an object of a random class; small ones are more frequent than large ones."""
    label = int(rng.integers(0, len(CLASSES)))
    name = CLASSES[label]
    radius = RADIUS[0] * (RADIUS[1] / RADIUS[0]) ** float(rng.random())
    stretch = _uniform(rng, 0.8, 1.0)
    width, height = (radius * 0.8 * stretch, radius) if name in UPRIGHT else (radius, radius * stretch)
    tilt = 0.45 if name in UPRIGHT else math.pi
    x, y = _uniform(rng, MARGIN, SIZE - MARGIN), _uniform(rng, MARGIN, SIZE - MARGIN)
    below = canvas.pixels[int(y), int(x)]
    colours = _colours(rng)
    while np.abs(colours[0] - below).sum() < MIN_CONTRAST or np.abs(colours[0] - colours[1]).sum() < MIN_CONTRAST:
        colours = _colours(rng)
    canvas.draw(OBJECT_SHAPES[name], Pose(x, y, width, height, _uniform(rng, -tilt, tilt)), colours, label)


def _draw_occluder(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw a patch or a stroke over what is there."""
    x, y, angle = _uniform(rng, 0, SIZE), _uniform(rng, 0, SIZE), _uniform(rng, 0, 2 * math.pi)
    thin = rng.integers(0, 2)
    half_width, half_height = (_uniform(rng, 15, 60), _uniform(rng, 0.7, 2)) if thin else (_uniform(rng, 4, 14),) * 2
    canvas.draw(square, Pose(x, y, half_width, half_height, angle), _colours(rng))


def _expose(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Scale contrast, add near-normal noise and round to uint8."""
    gain, offset = _uniform(rng, 0.5, 1.0), _uniform(rng, -20, 20)
    # The sum of three uniform bytes, of standard deviation 128, stands for a normal draw.
    noise = rng.integers(0, 256, (3, *pixels.shape), dtype=np.uint8).sum(axis=0, dtype=np.int32) - 382
    level = _uniform(rng, 0, MAX_NOISE) / 128
    exposed = (pixels - 128) * np.float32(gain) + np.float32(128 + offset) + noise * np.float32(level)
    return np.clip(np.rint(exposed), 0, 255).astype(np.uint8)
