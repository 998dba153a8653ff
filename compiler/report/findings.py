"""`Findings`: information on the network from its compilation, for the report; findings.json of the artefact."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

FILE_NAME = "findings.json"
FORBID = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Layer(BaseModel):
    """One layer before and after compression.

    Attributes:
        name, op: Name and operator in the compiled network.
        shape: Shape of its output, after compression.
        macs: Multiply-accumulates before and after.
        seconds: Time before and after, by the board's estimate; None without an estimate.
        kept: Fraction of its output channels that is left.
        bits: Width of its weights and activations in bits.
        sqnr: Signal-to-quantization-noise ratio of its output in dB, in the quantized network; None if it is float.
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
    """Loss of the metric when one group of channels is pruned alone."""

    model_config = FORBID

    name: str
    units: int
    removed: int
    ratios: tuple[float, ...]
    losses: tuple[float, ...]


class RangeHistogram(BaseModel):
    """Distribution of a tensor's values, from `start` in bins of `width`, and the range that was chosen for it."""

    model_config = FORBID

    tensor: str
    start: float
    width: float
    counts: tuple[int, ...]
    low: float
    high: float
    method: str


class Box(BaseModel):
    """A detection: x0, y0, x1, y1 as fractions of the width and height of the network's input, class and score."""

    model_config = FORBID

    corners: tuple[float, float, float, float]
    label: str
    score: float


class Answer(BaseModel):
    """What a network finds in one picture: boxes, or a text."""

    model_config = FORBID

    boxes: tuple[Box, ...] = ()
    text: str = ""


class Picture(BaseModel):
    """A sample as the network sees it (PNG, base64), its label, and the answers of the networks."""

    model_config = FORBID

    name: str
    size: tuple[int, int]
    png: str
    truth: Answer | None
    original: Answer
    compressed: Answer


class Findings(BaseModel):
    """Everything that a report shows besides the manifest and later measurements."""

    model_config = FORBID

    weight_bytes: tuple[int, int]
    parameters: tuple[int, int]
    layers: tuple[Layer, ...]
    curves: tuple[Curve, ...] = ()
    histograms: tuple[RangeHistogram, ...] = ()
    pictures: tuple[Picture, ...] = ()

    def save(self, folder: Path) -> None:
        """Write the findings into `folder`."""
        (folder / FILE_NAME).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Findings | None:
        """Return the findings in `folder`; None if there are none that this edgec can read."""
        try:
            return cls.model_validate_json((folder / FILE_NAME).read_bytes())
        except (OSError, ValidationError):
            return None
