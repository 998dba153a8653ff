"""Inputs like those that networks are used on: rendered pages, lines, faces, scenes, and sound like speech.

Each is drawn from a seed, so that a network always sees the same ones. What an input holds is said in two words, the
contents and the range of its values: `page imagenet`, `line signed`, `speech`, `tokens 1000`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from rendered import WORDS, line, noisy, page, text
from rendered import font as any_font

Array = np.ndarray
SAMPLE_RATE = 16000
IMAGENET = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
RANGES: dict[str, Callable[[Array], Array]] = {
    "bytes": lambda pixels: pixels,
    "unit": lambda pixels: pixels / 255,
    "signed": lambda pixels: pixels / 127.5 - 1,
    "centred": lambda pixels: pixels - 127.5,
    "imagenet": lambda pixels: (pixels - IMAGENET[0]) / IMAGENET[1],
}
"""What becomes of pixels in 0 to 255, [height, width, 3]."""


def network_input(kind: str, shape: Sequence[int], dtype: str, seed: int) -> Array:
    """Return what `kind` says of the given shape and type.

    Args:
        kind: Contents, and where they are pictures or numbers the range or the limit.
        shape: Static; pictures are [N, C, H, W] or [N, H, W, C] with one or three channels, sound ends in its samples,
            spectra in their bands (`logmel`) or frames (`logmel frames`).
        dtype: numpy's name of the element type.
        seed: Different seeds give different pictures and sounds.
    """
    rng = np.random.default_rng([seed, len(kind)])
    contents, _, range_ = kind.partition(" ")
    if contents in PICTURES:
        return _pictures(contents, range_ or "unit", tuple(shape), rng).astype(dtype)
    return NUMBERS[contents](range_, tuple(shape), rng).astype(dtype)


def _pictures(contents: str, range_: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    batch, *rest = (1,) * (4 - len(shape)) + shape
    first = rest[0] in (1, 3)
    height, width = rest[1:] if first else rest[:2]
    channels = rest[0] if first else rest[2]
    made = []
    for _ in range(batch):
        picture = PICTURES[contents](rng, width, height)
        pixels = np.asarray(picture.convert("RGB"), np.float64)
        if channels == 1:
            pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
        made.append(RANGES[range_](pixels)[:, :, :channels])
    stacked = np.stack(made)
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2) if first else stacked).reshape(shape)


def _colour(rng: np.random.Generator, low: int = 20, high: int = 235) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in rng.integers(low, high, 3))
    return red, green, blue


def draw_page(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw a printed page."""
    scale = max(1, -(-240 // min(width, height)))  # a smaller one has no room for words
    picture, _ = page(rng, width * scale, height * scale)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def draw_line(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw a line of text that fills the height, with background to its right."""
    picture = line(rng, text(rng))
    length = min(width, max(height, round(picture.width * height / picture.height)))
    background = picture.getpixel((0, 0))
    canvas = Image.new("RGB", (width, height), background)
    canvas.paste(picture.resize((length, height), Image.Resampling.BILINEAR), (0, 0))
    return canvas


def draw_captcha(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw slanted letters and digits behind strokes."""
    picture = Image.new("RGB", (width, height), _colour(rng, 190, 256))
    draw = ImageDraw.Draw(picture)
    letters = [str(letter) for letter in rng.choice(list("ABCDEFGHJKLMNPRSTUVWXYZ23456789"), 5)]
    for index, letter in enumerate(letters):
        face = any_font(rng, max(8, int(height * rng.uniform(0.5, 0.75))))
        tile = Image.new("L", (max(8, width // 5), height), 0)
        ImageDraw.Draw(tile).text((tile.width // 4, height // 6), letter, fill=255, font=face)
        tile = tile.rotate(float(rng.uniform(-25, 25)))
        picture.paste(_colour(rng, 0, 130), (index * width // 5, 0), tile)
    for _ in range(4):
        ends = [int(rng.integers(0, side)) for side in (width, height, width, height)]
        draw.line(ends, fill=_colour(rng), width=2)
    return noisy(rng, picture, 8)


def draw_scene(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw things of several shapes and textures on a ground under a sky, out of focus here and there."""
    horizon = int(height * rng.uniform(0.3, 0.7))
    rows = np.linspace(0, 1, height)[:, None, None]
    sky, ground = np.array(_colour(rng, 110, 255)), np.array(_colour(rng, 30, 150))
    base = np.where(np.arange(height)[:, None, None] < horizon, sky * (1 - 0.4 * rows), ground * (0.5 + 0.6 * rows))
    texture = rng.normal(0, 1, (max(2, height // 8), max(2, width // 8)))
    coarse = Image.fromarray(texture.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.broadcast_to(base, (height, width, 3)) + 14 * np.asarray(coarse)[:, :, None]
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 10))):
        w, h = (max(3, int(side * rng.uniform(0.08, 0.45))) for side in (width, height))
        x, y = int(rng.integers(-w // 3, width)), int(rng.integers(max(0, horizon - h), height))
        box, fill = (x, y, x + w, y + h), _colour(rng)
        kind = int(rng.integers(0, 4))
        if kind == 0:
            draw.ellipse(box, fill=fill, outline=_colour(rng))
        elif kind == 1:
            draw.rectangle(box, fill=fill, outline=_colour(rng), width=max(1, w // 30))
            for step in range(1, 4):
                draw.line((x + step * w // 4, y, x + step * w // 4, y + h), fill=_colour(rng), width=max(1, w // 60))
        elif kind == 2:
            draw.polygon([(x, y + h), (x + w // 2, y), (x + w, y + h)], fill=fill)
        else:
            draw.rounded_rectangle(box, radius=max(1, min(w, h) // 4), fill=fill)
            word = WORDS[rng.integers(len(WORDS))]
            draw.text((x + w // 8, y + h // 3), word, fill=_colour(rng), font=any_font(rng, max(6, h // 4)))
    picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2))))
    return noisy(rng, picture, float(rng.uniform(2, 10)))


def draw_face(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw a face with shaded skin, hair, eyes, nose and mouth in front of a scene."""
    picture = draw_scene(rng, width, height)
    size = min(width, height) * rng.uniform(0.5, 0.8)
    x, y = width * rng.uniform(0.42, 0.58), height * rng.uniform(0.45, 0.55)
    tone = np.array([224, 172, 140]) * rng.uniform(0.45, 1.1)
    skin = tuple(int(min(255, level)) for level in tone)
    dark = tuple(int(level * 0.55) for level in skin)
    hair = _colour(rng, 10, 120)
    draw = ImageDraw.Draw(picture)

    def oval(cx: float, cy: float, rx: float, ry: float, fill: tuple[int, ...]) -> None:
        draw.ellipse((x + size * (cx - rx), y + size * (cy - ry), x + size * (cx + rx), y + size * (cy + ry)), fill)

    oval(0, 0.75, 0.55, 0.3, _colour(rng))
    oval(0, -0.08, 0.43, 0.52, hair)
    oval(0, 0.03, 0.36, 0.46, skin)
    oval(0.16, 0.12, 0.12, 0.14, tuple(int(level * 0.9) for level in skin))
    for side in (-1, 1):
        oval(side * 0.15, -0.08, 0.075, 0.036, (240, 240, 240))
        oval(side * 0.15, -0.08, 0.032, 0.034, _colour(rng, 10, 110))
        oval(side * 0.15, -0.08, 0.014, 0.015, (10, 10, 10))
        oval(side * 0.15, -0.17, 0.09, 0.018, hair)
    oval(0, 0.07, 0.035, 0.11, tuple(int(level * 0.93) for level in skin))
    oval(-0.03, 0.17, 0.016, 0.011, dark)
    oval(0.03, 0.17, 0.016, 0.011, dark)
    oval(0, 0.29, 0.11, 0.032, (170, 70, 75))
    oval(0, 0.285, 0.1, 0.008, (90, 30, 35))
    picture = picture.filter(ImageFilter.GaussianBlur(max(0.6, float(size) / 120)))
    return noisy(rng, picture, float(rng.uniform(2, 7)))


PICTURES: dict[str, Callable[[np.random.Generator, int, int], Image.Image]] = {
    "page": draw_page,
    "line": draw_line,
    "captcha": draw_captcha,
    "scene": draw_scene,
    "face": draw_face,
}


def speech(samples: int, rng: np.random.Generator) -> Array:
    """Return sound like speech in [-1, 1]: syllables of voiced harmonics under moving formants, hiss, and pauses."""
    time = np.arange(samples) / SAMPLE_RATE
    knots = max(2, int(samples / SAMPLE_RATE * 4) + 2)

    def curve(low: float, high: float) -> Array:
        return np.interp(time, np.linspace(0, time[-1] if samples > 1 else 1, knots), rng.uniform(low, high, knots))

    phase = 2 * np.pi * np.cumsum(curve(90, 220)) / SAMPLE_RATE
    formants = [(curve(250, 850), 90.0), (curve(850, 2500), 120.0), (curve(2400, 3400), 200.0)]
    voice = np.zeros(samples)
    pitch = np.gradient(phase) * SAMPLE_RATE / (2 * np.pi) if samples > 1 else np.full(samples, 120.0)
    for harmonic in range(1, 30):
        frequency = harmonic * pitch
        gain = sum(1 / (1 + ((frequency - centre) / width) ** 2) for centre, width in formants) / harmonic**0.5
        voice += gain * np.sin(harmonic * phase)
    loud = np.clip(curve(-0.4, 1.0), 0, None)
    hiss = rng.normal(0, 1, samples) * np.clip(curve(-0.6, 0.4), 0, None)
    sound = voice / (np.abs(voice).max(initial=0) + 1e-9) * loud + 0.3 * hiss + rng.normal(0, 0.003, samples)
    return np.clip(0.6 * sound, -1, 1)


def log_mel(frames: int, bands: int, rng: np.random.Generator) -> Array:
    """Return the log mel spectrum [frames, bands] of sound like speech, with mean 0 and deviation 1."""
    window, hop = 400, 160
    sound = speech(window + hop * (frames - 1), rng)
    cut = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop][:frames] * np.hanning(window)
    power = np.abs(np.fft.rfft(cut, 512)) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), bands + 2) / 2595) - 1) / SAMPLE_RATE * 512
    bins = np.arange(power.shape[1])
    rising = (bins - edges[:-2, None]) / np.maximum(edges[1:-1] - edges[:-2], 1e-3)[:, None]
    falling = (edges[2:, None] - bins) / np.maximum(edges[2:] - edges[1:-1], 1e-3)[:, None]
    bank = np.clip(np.minimum(rising, falling), 0, 1)
    energy = np.log(power @ bank.T + 1e-6)
    return (energy - energy.mean()) / (energy.std() + 1e-6)


def _speech(range_: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    rows = [speech(shape[-1], rng) for _ in range(int(np.prod(shape[:-1])))]
    return np.stack(rows).reshape(shape) * (32767 if range_ == "int16" else 1)


def _speech_samples_first(_: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return speech(int(np.prod(shape)), rng).reshape(shape)


def _log_mel(layout: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    sizes = [size for size in shape if size != 1] or [1]
    batch, (first, second) = int(np.prod(sizes[:-2])), (*((1,) * (2 - len(sizes))), *sizes)[-2:]
    frames, bands = (second, first) if layout == "frames" else (first, second)
    spectra = [log_mel(frames, bands, rng) for _ in range(batch)]
    return np.stack([each.T if layout == "frames" else each for each in spectra]).reshape(shape)


NUMBERS: dict[str, Callable[[str, tuple[int, ...], np.random.Generator], Array]] = {
    "speech": _speech,
    "speech-column": _speech_samples_first,
    "logmel": _log_mel,
    "normal": lambda scale, shape, rng: rng.normal(0, float(scale or 1), shape),
    "uniform": lambda top, shape, rng: rng.uniform(0, float(top or 1), shape),
    "tokens": lambda limit, shape, rng: rng.integers(0, int(limit), shape),
    "value": lambda value, shape, _: np.full(shape, float(value)),
    "mask": lambda _, shape, rng: np.arange(shape[-1]) < np.ceil(shape[-1] * rng.uniform(0.6, 1.0, (*shape[:-1], 1))),
}
