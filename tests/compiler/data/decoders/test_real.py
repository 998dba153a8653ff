"""Real networks read rendered text: data, preprocessing, decoder and metric together."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from PIL import Image, ImageDraw, ImageFont

from edgec.data.decoders.base import Decoder
from edgec.data.decoders.read import read_decoder
from edgec.data.metrics.base import MetricContext, MetricResult, make_metric
from edgec.data.source import open_samples
from edgec.evaluation.run_metrics import run_metrics
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.preprocessing import Preprocessing
from edgec.reference.session import Reference
from tests.support.real_models import REAL_MODELS

pytestmark = pytest.mark.slow

WORDS = ["38AeCde38ge7", "2136bC666", "f983B8g84", "3ccc918fDA3d", "4269c6D6Ab5", "C34b0", "9DBA", "4B4eA55fC062D"]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def measure(name: str, data: Path, how: Preprocessing, decoder: str, metric: str) -> MetricResult:
    path = REAL_MODELS[name].require()
    model = fix_shapes(load(path).model, REAL_MODELS[name].shapes)
    reads: Decoder = read_decoder(decoder, path)
    samples = open_samples(data, inputs_of(model), how)
    context = MetricContext(reads, samples.classes)
    return run_metrics(Reference(model).run, samples, {metric: make_metric(metric, context)})[metric]


def test_ppocr_recognizes_lines(tmp_path: Path) -> None:
    font, lines = ImageFont.load_default(32), []
    for index, word in enumerate(WORDS):
        picture = Image.new("RGB", (int(font.getlength(word)) + 16, 44), "white")
        ImageDraw.Draw(picture).text((8, 4), word, fill="black", font=font)
        picture.save(tmp_path / f"{index}.png")
        lines.append(f"{index}.png\t{word}\n")
    (tmp_path / "lines.txt").write_text("".join(lines))
    how = Preprocessing(resize="line", colour="bgr", mean=(0.5,), std=(0.5,))
    result = measure("ppocr_rec", tmp_path / "lines.txt", how, "ctc", "recognition")
    assert result.details["exact-match"] >= 0.9
    assert result.details["edit-distance"] >= 0.98


@pytest.mark.parametrize(
    ("name", "how", "decoder", "texts"),
    [
        ("ppocr_det", Preprocessing(resize="letterbox", colour="bgr", **IMAGENET), "dbnet", WORDS[:4]),
        ("common_det", Preprocessing(resize="letterbox", colour="bgr", scale=1), "yolox", ["A", "B", "D", "8"]),
    ],
)
def test_text_is_found_where_it_was_drawn(
    name: str, how: Preprocessing, decoder: str, texts: list[str], tmp_path: Path
) -> None:
    """Boxes are labelled in the picture's own pixels, which are not the network's."""
    font = ImageFont.load_default(40)
    picture = Image.new("RGB", (500, 400), "white")
    lines = []
    for row, word in enumerate(texts):
        origin = (30 + 20 * row, 30 + 90 * row)
        ImageDraw.Draw(picture).text(origin, word, fill="black", font=font)
        x0, y0, x1, y1 = ImageDraw.Draw(picture).textbbox(origin, word, font=font)
        box = ((x0 + x1) / 1000, (y0 + y1) / 800, (x1 - x0) / 500, (y1 - y0) / 400)
        lines.append("0 " + " ".join(f"{value:.6f}" for value in box) + "\n")
    picture.save(tmp_path / "page.png")
    (tmp_path / "page.txt").write_text("".join(lines))
    (tmp_path / "classes.txt").write_text("text\n")
    assert measure(name, tmp_path, how, decoder, "map50").value >= 0.75


def test_the_dictionary_comes_from_the_model() -> None:
    path = REAL_MODELS["ppocr_rec"].require()
    decoder = read_decoder("ctc", path)
    classes = onnx.load(path).graph.output[0].type.tensor_type.shape.dim[2].dim_value
    assert len(decoder.alphabet) + 2 == classes  # type: ignore[attr-defined]
