"""`PruneOptions`: what a pruning is to reach, and within which limits."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from edgec.errors import BadOption
from edgec.progress import logger

CRITERION = "obs"
FORMER_NAMES = {"taylor": "reconstruction"}
"""Criteria that once had another name, which is still taken: there is no Taylor expansion in it, and no gradient."""
CAP = 0.7
Allocation = Literal["joint", "each-layer"]
"""How an accepted loss becomes ratios; see `edgec.compress.pruning_search`."""
GOALS = ("max_loss", "target_macs", "target_size", "target_latency", "ratio")


class PruneOptions(BaseModel):
    """Settings of a pruning, one goal among them: flags of `edgec prune`, and the table `[prune]` of edgec.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_loss: float | None = Field(
        default=None,
        ge=0,
        description="Goal: the accepted loss in the metric's units, which is measured.",
    )
    target_macs: float | None = Field(
        default=None, gt=0, lt=1, description="Goal: the fraction of the multiply-accumulates that remains."
    )
    target_size: float | None = Field(
        default=None, gt=0, lt=1, description="Goal: the fraction of the weights' bytes that remains."
    )
    target_latency: float | None = Field(
        default=None, gt=0, lt=1, description="Goal: the fraction of the time that remains, as estimated for the board."
    )
    ratio: float | None = Field(
        default=None, gt=0, lt=1, description="Goal: the fraction of channels to remove from every group, unmeasured."
    )
    criterion: str = Field(
        default=CRITERION,
        description="How channels are ranked: obs, reconstruction, l1, l2, l0, fpgm, or module:function.",
    )
    cap: float = Field(
        default=CAP, gt=0, lt=1, description="Maximum fraction of channels removed per group; not used with a ratio."
    )
    allocation: Allocation = Field(
        default="joint",
        description="How an accepted loss becomes ratios: `joint` accepts it for the whole network, `each-layer` for "
        "each group alone, as first published.",
    )
    include: tuple[str, ...] = Field(
        default=(), description="Prune only the groups whose layers have names that match these patterns (*, ?)."
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Keep the groups whose layers have names that match these patterns (*, ?) whole."
    )
    multiple: int = Field(default=1, ge=1, description="Keep the number of channels of each group a multiple of this.")
    repair: bool = Field(
        default=True, description="Refit the layers behind the removed channels to make up for the loss."
    )

    @field_validator("criterion")
    @classmethod
    def _present_name(cls, criterion: str) -> str:
        if criterion in FORMER_NAMES:
            logger.warning("the criterion %s is called %s: it uses no gradient", criterion, FORMER_NAMES[criterion])
        return FORMER_NAMES.get(criterion, criterion)

    @property
    def goals(self) -> dict[str, float]:
        """The goals that are set."""
        return {name: value for name in GOALS if (value := getattr(self, name)) is not None}

    @property
    def goal(self) -> tuple[str, float]:
        """Which goal is set, and its value.

        Raises:
            BadOption: None is set, or more than one, or one that the allocation cannot reach.
        """
        if len(self.goals) != 1:
            raise BadOption(
                f"pruning needs exactly one goal, not {' and '.join(self.goals) or 'none'}",
                remedy="Give one of " + ", ".join("--" + name.replace("_", "-") for name in GOALS) + ".",
            )
        goal, value = next(iter(self.goals.items()))
        if self.allocation == "each-layer" and goal != "max_loss":
            problem = "allocation each-layer turns an accepted loss into ratios, and knows no other goal"
            raise BadOption(problem, remedy="Give --max-loss instead, or leave --allocation out.")
        return goal, value


class PruneFields(TypedDict, total=False):
    """The fields of `PruneOptions`, for calls that take them by name."""

    max_loss: float | None
    target_macs: float | None
    target_size: float | None
    target_latency: float | None
    ratio: float | None
    criterion: str
    cap: float
    allocation: Allocation
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    multiple: int
    repair: bool
