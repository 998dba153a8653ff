"""How a picture becomes a network's input: one record, stored in the manifest, so that all later steps agree."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Preprocessing(BaseModel):
    """Picture (8 bit, RGB) to tensor: resize, channel order, `(pixel * scale - mean) / std` per channel, layout."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    resize: Literal["stretch", "letterbox", "crop", "line"] = Field(
        default="stretch",
        description="stretch: to the input's size; letterbox: keep the aspect ratio, pad with grey; crop: keep the "
        "aspect ratio, cut the centre; line (text): to the input's height, pad on the right with zeros.",
    )
    crop_fraction: float = Field(default=0.875, gt=0, le=1, description="crop: kept fraction of the shorter side.")
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @property
    def channels(self) -> int:
        """Number of colour channels of a picture."""
        return 1 if self.colour == "grey" else 3

    @model_validator(mode="after")
    def _one_a_channel(self) -> Preprocessing:
        for name in ("mean", "std"):
            if (count := len(getattr(self, name))) not in (1, self.channels):
                raise ValueError(f"{name} has {count} values for {self.channels} channels ({self.colour})")
        return self
