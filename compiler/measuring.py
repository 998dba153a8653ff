"""`Measuring`: the user's settings for measuring losses: data, metric, decoder, and worker processes."""

from __future__ import annotations

import os
from typing import Any

from pydantic import ConfigDict, Field, field_serializer, field_validator
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from edgec.errors import BadOption
from edgec.preprocessing import Preprocessing
from edgec.validation import fields_of, validated


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class Measuring:
    """The data and metric that a network is measured with, and the processes that do the work.

    All functions of the API share this record. It is the table `[measuring]` of edgec.toml, its fields are flags of the
    commands, and every function also takes them by name: `edgec.prune(model, data="pictures", ...)`.
    """

    data: Any = Field(
        default=None,
        description="Pictures or arrays, with labels if the metric needs them: a path, module:callable, or Samples.",
    )
    metric: str | None = Field(
        default=None,
        description="Name of a metric: map, top1, ...; default: the relative error of the outputs, without labels.",
    )
    decoder: str | None = Field(
        default=None,
        description="How the outputs are read: yolov8, ctc, ..., or a decoder file; default: the recognised decoder.",
    )
    preprocess: Preprocessing = Field(
        default_factory=Preprocessing, description="How pictures become the network's input."
    )
    limit: int | None = Field(
        default=None, ge=1, description="Maximum number of samples to use; they are taken at even distances."
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        exclude=True,
        description="Number of worker processes; default: one per processor; 0: none, all work is done in this one.",
    )
    scheduler: str | None = Field(
        default=None, exclude=True, description="Address of a Dask scheduler whose workers do the work instead."
    )

    @field_validator("data")
    @classmethod
    def _a_path_as_text(cls, data: Any) -> Any:
        if isinstance(data, os.PathLike):
            return os.fspath(data)
        if data is None or isinstance(data, str) or (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
            return data
        raise ValueError("data must be a path, module:callable, or Samples")

    @field_serializer("data")
    def _as_text(self, data: Any) -> str | None:
        return data if data is None or isinstance(data, str) else f"{len(data)} samples in memory"


class MeasuringFields(TypedDict, total=False):
    """The fields of `Measuring`, for calls that take them by name."""

    data: Any
    metric: str | None
    decoder: str | None
    preprocess: Preprocessing
    limit: int | None
    workers: int | None
    scheduler: str | None


def take_measuring(given: dict[str, Any], measuring: Measuring | None) -> Measuring:
    """Take the fields of `Measuring` out of `given` and return them as a record; without any, return `measuring`.

    Raises:
        BadOption: Both are given, or a value is wrong.
    """
    fields = {name: given.pop(name) for name in list(given) if name in fields_of(Measuring)}
    if measuring is None:
        return validated(Measuring, fields, "measuring")
    if fields:
        raise BadOption(f"{' and '.join(fields)} and measuring are given", remedy="Give the field within measuring.")
    return measuring
