"""Pictures that make text networks answer; on noise their outputs are so small that there is nothing to compare."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def text_picture(height: int, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return lines of black text on white as float32 [1, 3, height, width] in [-1, 1], the same every time."""
    size = min(28, height // 2)
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for line, top in enumerate(range(size // 2, height - size, size * 2)):
        draw.text((size // 2, top), f"Text {line} 0123456789", fill="black", font=font)
    pixels = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)[None]
    return np.ascontiguousarray(pixels / np.float32(127.5) - np.float32(1))
