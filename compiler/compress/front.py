"""`Front`: measured points of accuracy against time and size, of which the best for each time are the Pareto front."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from edgec.errors import BadOption, first_problem, reason
from edgec.whole_file import write_text

FORMAT = 1
FILE = "front.json"
SENSITIVITY = "sensitivity.jsonl"
"""Journal of sensitivities in the folder of a front, from which its points are built again."""


class FrontPoint(BaseModel):
    """One network: the goal that made it, and its figures.

    Attributes:
        precision: What it runs in.
        max_latency: The goal, in milliseconds by the estimate for the board.
        milliseconds: The estimate for the network that was found.
        loss: Loss of the metric on the held-out samples.
        decided: The same on the samples for decisions.
        value: Metric on the held-out samples.
        macs: Multiply-accumulates.
        weight_bytes: Size of the weights.
        in_float: Number of layers that do not run in the lower precision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    precision: str
    max_latency: float
    milliseconds: float
    loss: float
    decided: float
    value: float
    macs: int
    weight_bytes: int
    in_float: int

    def beats(self, other: FrontPoint) -> bool:
        """Whether this one is no slower and loses no more, and is better in one of the two."""
        mine, its = (self.milliseconds, self.loss), (other.milliseconds, other.loss)
        return mine != its and mine[0] <= its[0] and mine[1] <= its[1]


class Front(BaseModel):
    """Points of one model on one board, the slowest first.

    Attributes:
        model: Path of the ONNX file.
        sha256: Its hash.
        options: Settings of `edgec compile` that all points share.
        metric: Name of the metric.
        before: Metric of the original on the held-out samples.
        decided_on: Number of samples for decisions.
        held_out: Number of others, on which the points were measured.
        points: All points that were measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    format: int = FORMAT
    model: str
    sha256: str
    options: dict[str, Any]
    metric: str
    before: float
    decided_on: int
    held_out: int
    points: tuple[FrontPoint, ...]

    @property
    def best(self) -> tuple[FrontPoint, ...]:
        """The Pareto front: the points that no other one beats."""
        return tuple(
            point
            for point in self.points
            if math.isfinite(point.loss) and not any(other.beats(point) for other in self.points)
        )

    def table(self, folder: str = "") -> tuple[list[str], list[list[str]]]:
        """Return the head and the rows of the table as text; points of the front have a star."""
        head = ["point", "precision", "ms*", "loss", self.metric, "MACs", "weights, MiB", "command"]
        best = set(map(id, self.best))
        rows = [
            [
                f"{number}{' ★' if id(point) in best else ''}",
                point.precision + (f", {point.in_float} in float" if point.in_float else ""),
                f"{point.milliseconds:.4g}",
                f"{point.loss:.4f}",
                f"{point.value:.4f}",
                f"{point.macs / 1e6:,.1f} M",
                f"{point.weight_bytes / 2**20:.2f}",
                f"edgec compile {folder or 'FOLDER'} --point {number}",
            ]
            for number, point in enumerate(self.points, 1)
        ]
        return head, rows

    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the table has to know."""
        return (
            "★: no other point is as fast and loses less: the Pareto front.",
            "*: milliseconds of an inference by edgec's estimate for the board.",
            f"Loss and {self.metric} are those of {self.held_out} held-out samples; {self.decided_on} others were used "
            f"for decisions. The original has {self.before:.4f}.",
        )

    def settings(self, number: int) -> dict[str, Any]:
        """Return the options of `edgec compile` for the point with this number, from 1.

        Raises:
            BadOption: There is no such point.
        """
        if not 1 <= number <= len(self.points):
            raise BadOption(f"there is no point {number}", remedy=f"The front has points 1 to {len(self.points)}.")
        point = self.points[number - 1]
        return {**self.options, "precision": point.precision, "max_latency": point.max_latency}

    def save(self, folder: Path) -> None:
        """Write the front as JSON into `folder`; raises BadOption if it cannot be written."""
        write_text(folder / FILE, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Front:
        """Read the front in `folder`.

        Raises:
            BadOption: There is none, or it was written by a newer edgec.
        """
        path, remedy = Path(folder) / FILE, "`edgec explore` writes one."
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise BadOption(f"front {path}: {reason(error)}", remedy=remedy) from error
        except ValidationError as error:
            raise BadOption(f"front {path}: {first_problem(error)}", remedy=remedy) from error

    def __repr__(self) -> str:
        return f"<Front: {len(self.points)} points, {len(self.best)} of them on the Pareto front>"
