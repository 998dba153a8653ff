"""`PruneOptions`: what a pruning is to reach, and within which limits."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edgec.errors import BadOption
from edgec.passes.prune.rank import DEFAULT

CAP = 0.7


class PruneOptions(BaseModel):
    """Settings of a pruning; exactly one of `max_loss`, `target_macs`, `target_size` and `ratio` says how much goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_loss: float | None = Field(default=None, ge=0, description="Accepted loss of the metric, in its units.")
    target_macs: float | None = Field(default=None, gt=0, lt=1, description="Share of the MACs that is to be left.")
    target_size: float | None = Field(default=None, gt=0, lt=1, description="Share of the weights' bytes to be left.")
    ratio: float | None = Field(default=None, gt=0, lt=1, description="The same share of every group, unmeasured.")
    criterion: str = Field(default=DEFAULT, description="obs, taylor, l1, l2, l0, fpgm, or module:function.")
    cap: float = Field(default=CAP, gt=0, lt=1, description="Largest share of a group that goes.")
    include: tuple[str, ...] = Field(default=(), description="Patterns of layer names: only groups they make.")
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of layer names: no group they make.")
    multiple: int = Field(default=1, ge=1, description="Widths stay multiples of this.")
    repair: bool = Field(default=True, description="Refit the layers behind to make up for what goes.")

    @property
    def goal(self) -> tuple[str, float]:
        """Which of the four goals is set, and its value.

        Raises:
            BadOption: None is set, or more than one.
        """
        goals = {name: getattr(self, name) for name in ("max_loss", "target_macs", "target_size", "ratio")}
        given = {name: value for name, value in goals.items() if value is not None}
        if len(given) != 1:
            raise BadOption(
                f"pruning needs one goal, {' and '.join(given) or 'none'} given",
                remedy="Give one of --max-loss, --target-macs, --target-size, --ratio.",
            )
        return next(iter(given.items()))
