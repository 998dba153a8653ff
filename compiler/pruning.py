"""`PruneOptions`: what a pruning is to reach, and within which limits."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edgec.errors import BadOption
from edgec.registry import suggest

CRITERION = "obs"
FORMER_NAMES = {"taylor": "reconstruction"}
"""Criteria that once had another name, which is still taken: there is no Taylor expansion in it, and no gradient."""
CAP = 0.7
GOALS = ("max_loss", "target_macs", "target_size", "target_latency", "ratio")
LISTS = ("include", "exclude")


class PruneOptions(BaseModel):
    """Settings of a pruning; one of `GOALS` says how much goes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_loss: float | None = Field(default=None, ge=0, description="Accepted loss of the metric, in its units.")
    target_macs: float | None = Field(default=None, gt=0, lt=1, description="Share of the MACs that is to be left.")
    target_size: float | None = Field(default=None, gt=0, lt=1, description="Share of the weights' bytes to be left.")
    target_latency: float | None = Field(
        default=None, gt=0, lt=1, description="Share of the estimated time on the board that is to be left."
    )
    ratio: float | None = Field(default=None, gt=0, lt=1, description="The same share of every group, unmeasured.")
    criterion: str = Field(default=CRITERION, description="obs, reconstruction, l1, l2, l0, fpgm, or module:function.")
    cap: float = Field(default=CAP, gt=0, lt=1, description="Largest share of a group that goes.")
    include: tuple[str, ...] = Field(default=(), description="Patterns of layer names: only groups they make.")
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of layer names: no group they make.")
    multiple: int = Field(default=1, ge=1, description="Widths stay multiples of this.")
    repair: bool = Field(default=True, description="Refit the layers behind to make up for what goes.")

    @field_validator("criterion")
    @classmethod
    def _present_name(cls, criterion: str) -> str:
        return FORMER_NAMES.get(criterion, criterion)

    @property
    def goals(self) -> dict[str, float]:
        """The goals that are set."""
        return {name: value for name in GOALS if (value := getattr(self, name)) is not None}

    @property
    def goal(self) -> tuple[str, float]:
        """Which goal is set, and its value.

        Raises:
            BadOption: None is set, or more than one.
        """
        if len(self.goals) != 1:
            raise BadOption(
                f"pruning needs one goal, {' and '.join(self.goals) or 'none'} given",
                remedy="Give one of " + ", ".join("--" + name.replace("_", "-") for name in GOALS) + ".",
            )
        return next(iter(self.goals.items()))


def parse_pruning(text: str) -> PruneOptions:
    """Parse the command-line form, e.g. `target_macs=0.5,cap=0.8,exclude=/head/*,exclude=/neck/*`.

    Raises:
        BadOption: A key is unknown or a value is wrong.
    """
    settings: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or key not in PruneOptions.model_fields:
            remedy = suggest(key, PruneOptions.model_fields) + " Form: key=value,key=value."
            raise BadOption(f"--prune: {item!r} is not a setting", remedy=remedy)
        if key in LISTS:
            settings.setdefault(key, []).append(value)
        else:
            settings[key] = value
    try:
        return PruneOptions.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadOption(f"--prune: {first['loc'][0]}: {first['msg']} (got {first['input']!r})") from error
