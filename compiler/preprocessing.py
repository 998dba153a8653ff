"""How a picture becomes a network's input: one record, kept in the manifest so that every later step does the same."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgec.errors import BadOption, first_problem
from edgec.registry import suggest


class Preprocessing(BaseModel):
    """Picture (8 bit, RGB) to tensor: resize, channel order, `(pixel * scale - mean) / std` per channel, layout."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    resize: Literal["stretch", "letterbox", "crop", "line"] = Field(
        default="stretch",
        description="stretch: to the input's size; letterbox: keep the aspect ratio, pad with grey; crop: keep the "
        "aspect ratio, cut the centre; line (text): to the input's height, pad on the right with zeros.",
    )
    crop_fraction: float = Field(default=0.875, gt=0, le=1, description="crop: share of the shorter side that is kept.")
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @property
    def channels(self) -> int:
        """Colour channels of a picture."""
        return 1 if self.colour == "grey" else 3

    @model_validator(mode="after")
    def _one_a_channel(self) -> Preprocessing:
        for name in ("mean", "std"):
            if (count := len(getattr(self, name))) not in (1, self.channels):
                raise ValueError(f"{name} has {count} values for {self.channels} channels ({self.colour})")
        return self


def parse_preprocessing(text: str) -> Preprocessing:
    """Parse the command-line form, e.g. `resize=letterbox,colour=bgr,mean=0.485/0.456/0.406`.

    Raises:
        BadOption: A key is unknown or a value is wrong.
    """
    settings: dict[str, object] = {}
    for item in filter(None, text.split(",")):
        key, equals, value = item.partition("=")
        key = key.strip()
        if not equals or key not in Preprocessing.model_fields:
            remedy = suggest(key, Preprocessing.model_fields) + " Form: key=value,key=value."
            raise BadOption(f"--preprocess: {item!r} is not a setting", remedy=remedy)
        settings[key] = value.split("/") if key in ("mean", "std") else value.strip()
    try:
        return Preprocessing.model_validate(settings)
    except ValidationError as error:
        raise BadOption(f"--preprocess: {first_problem(error)}", remedy="Form: key=value,key=value.") from error
