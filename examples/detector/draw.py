"""Draw detections onto a picture."""

from collections.abc import Sequence

from decode import Detections
from PIL import Image, ImageDraw

COLOURS = ("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#42d4f4", "#f032e6")


def draw(picture: Image.Image, detections: Detections, classes: Sequence[str]) -> Image.Image:
    """Return a copy of an RGB `picture` with a box, a class name and a score for each detection."""
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    for box, score, label in zip(*detections, strict=True):
        colour = COLOURS[label % len(COLOURS)]
        corner = (float(box[0]) + 2, float(box[1]))
        caption = f"{classes[label]} {score:.2f}"
        pen.rectangle(box.tolist(), outline=colour)
        pen.rectangle(pen.textbbox(corner, caption), fill=colour)
        pen.text(corner, caption, fill="black")
    return drawn
