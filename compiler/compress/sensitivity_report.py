"""`SensitivityReport`: the loss of each group at each ratio, as data that is saved, drawn, and used for pruning."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from edgec.errors import BadOption, first_problem, reason
from edgec.pruning import FORMER_NAMES
from edgec.whole_file import write_text

FORMAT = 1


class GroupSensitivity(BaseModel):
    """One group: the order in which its units are removed, and the loss of the whole network at each ratio."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    units: int
    order: tuple[int, ...]
    ratios: tuple[float, ...]
    losses: tuple[float, ...]

    @model_validator(mode="after")
    def _fits(self) -> GroupSensitivity:
        if sorted(self.order) != list(range(self.units)):
            raise ValueError(f"the order does not contain each of {self.units} units exactly once")
        rising = all(0 < ratio <= 1 for ratio in self.ratios) and list(self.ratios) == sorted(set(self.ratios))
        if not rising or len(self.losses) != len(self.ratios):
            raise ValueError("the ratios must rise from 0 to 1, with one loss each")
        return self

    def loss(self, ratio: float) -> float:
        """Return the loss at `ratio`, interpolated; it is 0 at ratio 0, and never falls when more is removed."""
        last_ratio, last_loss = 0.0, 0.0
        for next_ratio, loss in zip(self.ratios, self.losses, strict=True):
            next_loss = max(loss, last_loss)
            if ratio <= next_ratio:
                share = (ratio - last_ratio) / (next_ratio - last_ratio)
                return last_loss + share * (next_loss - last_loss)
            last_ratio, last_loss = next_ratio, next_loss
        return last_loss


class SensitivityReport(BaseModel):
    """All groups of one model, and how their losses were measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    model: str
    criterion: str
    compensated: bool
    metric: str
    samples: int
    baseline: float
    higher_is_better: bool
    groups: dict[str, GroupSensitivity]
    kept_whole: dict[str, str] = {}
    """Layers that belong to no group, with the reason."""

    @field_validator("criterion")
    @classmethod
    def _present_name(cls, criterion: str) -> str:
        return FORMER_NAMES.get(criterion, criterion)

    def __repr__(self) -> str:
        baseline = f"{self.metric} {self.baseline:.4g} on {self.samples} samples"
        return f"<SensitivityReport: {len(self.groups)} groups by {self.criterion}, {baseline}>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the report as JSON.

        Raises:
            BadOption: The file cannot be written.
        """
        write_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SensitivityReport:
        """Read a report.

        Raises:
            BadOption: The file is unreadable, is not a report, or was written by a newer edgec.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise BadOption(f"sensitivity {path}: {reason(error)}", remedy="`edgec sensitivity` writes one.") from error
        except ValidationError as error:
            problem = f"sensitivity {path}: {first_problem(error)}"
            raise BadOption(problem, remedy="`edgec sensitivity` writes one.") from error
