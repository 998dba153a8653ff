"""`Findings`: what a compilation found out about the network, for the report; findings.json of the artefact."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

FILE_NAME = "findings.json"
FORBID = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Layer(BaseModel):
    """One layer before and after compression.

    Attributes:
        name, op: As in the compiled network.
        shape: Of its output, after.
        macs: Multiply-accumulates before and after.
        seconds: By the board's estimate, before and after; None where it has none.
        kept: Share of its output channels that is left.
        bits: Of its weights and activations.
        sqnr: Signal to quantization noise of its output in dB, in the quantized network; None where it is float.
    """

    model_config = FORBID

    name: str
    op: str
    shape: tuple[int, ...]
    macs: tuple[int, int]
    seconds: tuple[float, float] | None
    kept: float
    bits: int
    sqnr: float | None


class Curve(BaseModel):
    """What the metric loses when one group of channels is pruned alone."""

    model_config = FORBID

    name: str
    units: int
    removed: int
    ratios: tuple[float, ...]
    losses: tuple[float, ...]


class RangeHistogram(BaseModel):
    """How the values of a tensor are distributed, from `start` in bins of `width`, and what range was chosen for it."""

    model_config = FORBID

    tensor: str
    start: float
    width: float
    counts: tuple[int, ...]
    low: float
    high: float
    method: str


class Box(BaseModel):
    """A detection: x0, y0, x1, y1 as shares of the width and height of the network's input, class and score."""

    model_config = FORBID

    corners: tuple[float, float, float, float]
    label: str
    score: float


class Answer(BaseModel):
    """What a network says of one picture: boxes, or else a text."""

    model_config = FORBID

    boxes: tuple[Box, ...] = ()
    text: str = ""


class Picture(BaseModel):
    """A sample as the network sees it (PNG, base64), what is true of it, and what was said of it by whom."""

    model_config = FORBID

    name: str
    size: tuple[int, int]
    png: str
    truth: Answer | None
    original: Answer
    compressed: Answer


class Findings(BaseModel):
    """Everything that a report shows besides the manifest and what was measured later."""

    model_config = FORBID

    weight_bytes: tuple[int, int]
    parameters: tuple[int, int]
    layers: tuple[Layer, ...]
    curves: tuple[Curve, ...] = ()
    histograms: tuple[RangeHistogram, ...] = ()
    pictures: tuple[Picture, ...] = ()

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        (folder / FILE_NAME).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Findings | None:
        """Return those in `folder`; None where there are none that this edgec can read."""
        try:
            return cls.model_validate_json((folder / FILE_NAME).read_bytes())
        except (OSError, ValidationError):
            return None
