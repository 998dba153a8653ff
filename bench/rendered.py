"""Rendered text lines, pages and pictures with known contents: deterministic, from the fonts that Debian ships."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path("/usr/share/fonts/truetype/dejavu")
LIST = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work government number night point home water room mother "
    "area money story fact month lot right study book eye job word business issue side kind head house service friend "
    "father power hour game line end member law car city community name president team minute idea body information "
    "back parent face others level office door health person art war history party result change morning reason "
    "research girl guy moment air teacher force education"
)
WORDS = LIST.split()


def font(rng: np.random.Generator, size: int) -> ImageFont.FreeTypeFont:
    """Draw a font of `size` pixels."""
    files = sorted(FONTS.glob("*.ttf"))
    files = [file for file in files if "Math" not in file.name]
    return ImageFont.truetype(files[rng.integers(len(files))], size)


def text(rng: np.random.Generator) -> str:
    """Draw a line of words, numbers and codes, at most 22 characters."""
    parts: list[str] = []
    while True:
        kind = rng.integers(0, 4)
        word = WORDS[rng.integers(len(WORDS))]
        if kind == 1:
            word = word.capitalize()
        elif kind == 2:
            word = str(rng.integers(0, 100000))
        elif kind == 3:
            letters = string.ascii_uppercase + string.digits
            word = "".join(letters[rng.integers(len(letters))] for _ in range(rng.integers(2, 7)))
        if len(" ".join([*parts, word])) > 22:
            return " ".join(parts)
        parts.append(word)
        if len(parts) > 1 and rng.random() < 0.4:
            return " ".join(parts)


def line(rng: np.random.Generator, content: str) -> Image.Image:
    """Render one line: colours, rotation, noise, blur by resizing."""
    size = int(rng.integers(18, 44))
    face = font(rng, size)
    left, top, right, bottom = face.getbbox(content)
    pad = int(rng.integers(2, 8))
    background = rng.integers(120, 256, 3)
    ink = rng.integers(0, 110, 3)
    if rng.random() < 0.25:
        background, ink = 255 - background, 255 - ink
    picture = Image.new("RGB", (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad), tuple(map(int, background)))
    ImageDraw.Draw(picture).text((pad - left, pad - top), content, fill=tuple(map(int, ink)), font=face)
    angle = float(rng.uniform(-1.5, 1.5))
    picture = picture.rotate(angle, resample=Image.Resampling.BILINEAR, fillcolor=tuple(map(int, background)))
    return noisy(rng, picture, float(rng.uniform(0, 18)))


def noisy(rng: np.random.Generator, picture: Image.Image, level: float) -> Image.Image:
    """Add normal noise of standard deviation `level`."""
    pixels = np.asarray(picture, np.float32)
    return Image.fromarray(np.clip(pixels + rng.normal(0, level, pixels.shape), 0, 255).astype(np.uint8))


def page(rng: np.random.Generator, width: int, height: int) -> tuple[Image.Image, list[tuple[int, int, int, int]]]:
    """Render a page of text in columns of differing sizes; return it with the box of each line."""
    background = tuple(int(level) for level in rng.integers(170, 256, 3))
    picture = Image.new("RGB", (width, height), background)
    draw = ImageDraw.Draw(picture)
    boxes = []
    top = int(rng.integers(8, 40))
    while top < height - 40:
        face = font(rng, int(rng.integers(14, 34)))
        left = int(rng.integers(8, max(9, width // 4)))
        content = text(rng)
        while left < width - 60:
            box = draw.textbbox((left, top), content, font=face)
            if box[2] > width - 8 or box[3] > height - 8:
                break
            ink = tuple(int(level) for level in rng.integers(0, 110, 3))
            draw.text((left, top), content, fill=ink, font=face)
            boxes.append(tuple(int(side) for side in box))
            left = int(box[2]) + int(rng.integers(30, 90))
            content = text(rng)
        top += int(face.size * rng.uniform(1.4, 2.4))
    return noisy(rng, picture, float(rng.uniform(0, 14))), boxes


def blurred(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Lose detail and contrast: shrink and enlarge by a random factor, fade towards grey, add noise."""
    factor = float(rng.uniform(1.0, 4.5))
    small = (max(8, round(picture.width / factor)), max(6, round(picture.height / factor)))
    coarse = picture.resize(small, Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BILINEAR)
    faded = Image.blend(Image.new("RGB", picture.size, (128, 128, 128)), coarse, float(rng.uniform(0.15, 1.0)))
    return noisy(rng, faded, float(rng.uniform(0, 25)))
