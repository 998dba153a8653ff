"""`RecoverOptions`: how long and how a network is trained to give the original's outputs again."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

EPOCHS = 30


class RecoverOptions(BaseModel):
    """Settings of a recovery by gradients: flags of `edgec recover`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int | None = Field(
        default=None, ge=1, description=f"Passes over the pictures; default: {EPOCHS}, or as many as --time allows."
    )
    seconds: float | None = Field(default=None, gt=0, description="Time in seconds, instead of a number of epochs.")
    rate: float = Field(
        default=1e-2,
        gt=0,
        lt=1,
        description="Peak learning rate, relative to the mean size of the numbers of each constant.",
    )
    batch: int = Field(default=8, ge=1, description="Pictures of one step.")
    patience: int = Field(default=15, ge=1, description="Stop after so many epochs without a lower held-out loss.")
    augment: bool = Field(default=True, description="Mirror and shift pictures; the original says what is right.")
    device: str = Field(default="auto", description="Where PyTorch computes: auto (CUDA if there is one), cpu, cuda.")
    seed: int = Field(default=0, ge=0, description="Seed of the order of the pictures and of their changes.")


class RecoverFields(TypedDict, total=False):
    """The fields of `RecoverOptions`, for calls that take them by name."""

    epochs: int | None
    seconds: float | None
    rate: float
    batch: int
    patience: int
    augment: bool
    device: str
    seed: int
