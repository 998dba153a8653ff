"""`Decoder`: turns the raw outputs of one sample into a prediction; the settings of each kind are its fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from edgec.data.samples import Sample
from edgec.errors import BadOption
from edgec.registry import suggest

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]
Kind = Literal["scores", "detections", "instances", "keypoints", "rotated", "text", "mask", "picture", "embedding"]
WITH_BOXES: tuple[Kind, ...] = ("detections", "instances", "keypoints", "rotated")
"""Kinds whose predictions have `boxes`, `scores` and `labels`, like `Detections`."""
REMEDY = "Choose another --decoder, or name the output in its record."
"""What to do if outputs do not fit a decoder."""


class Decoder(BaseModel, ABC):
    """Decodes the outputs for one sample. A plugin registers a subclass in the entry point group edgec.decoders.

    `kind` says which: `scores` float [classes]; `detections` a `Detections` in pixels of the original picture,
    `instances`, `keypoints` and `rotated` the same with masks, points or corners; `text` a str; `mask` integers
    [height, width] of the original picture; `picture` float [height, width, channels] 0..1; `embedding` float [n].
    `classes` names the network's classes by class index; empty if they are unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[Kind]

    classes: tuple[str, ...] = ()

    @classmethod
    def settings_of(cls, model: Path) -> dict[str, Any]:
        """Return the settings that the ONNX file `model` contains, which are used if the user gives none."""
        return {}

    def self_contained(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults, as values that JSON can store, including file contents."""
        return self.model_dump(mode="json", exclude_unset=True)

    def class_count(self, outputs: Outputs) -> int | None:
        """Return the number of classes of `outputs`; None if it cannot be seen."""
        return None

    @abstractmethod
    def __call__(self, outputs: Outputs, sample: Sample) -> Any:
        """Decode `outputs`, output name -> array with a first axis of 1, which the network returned for `sample`."""


def pick(outputs: Outputs, name: str | None, position: int = 0) -> Array:
    """Return the output called `name` or, if that is None, the one at `position`.

    Raises:
        BadOption: There is no such output.
    """
    if name is None:
        if position >= len(outputs):
            problem = f"the network has {len(outputs)} outputs, but the decoder needs {position + 1}"
            raise BadOption(problem, remedy=REMEDY)
        return list(outputs.values())[position]
    if name not in outputs:
        raise BadOption(f"decoder: no output is called {name!r}", remedy=suggest(name, outputs))
    return outputs[name]


def check_shape(array: Array, pattern: str, head: str) -> Array:
    """Return `array`, one sample's output, without its first axis, which is 1.

    Args:
        array: The output.
        pattern: Its axes, e.g. `[1, n, 4]`: numbers must be equal, names may be any size.
        head: Name of the decoder, for the message.

    Raises:
        BadOption: The shape does not fit.
    """
    axes = [axis.strip() for axis in pattern.strip("[]").split(",")]
    fits = array.ndim == len(axes) and all(
        not axis.isdigit() or int(axis) == size for axis, size in zip(axes, array.shape, strict=True)
    )
    if not fits:
        raise BadOption(
            f"decoder {head}: the output is [{', '.join(map(str, array.shape))}], not {pattern}",
            remedy=REMEDY,
        )
    result: Array = array[0]
    return result


def sigmoid(x: Array) -> Array:
    """Return the logistic function of float32 values; tanh does not overflow."""
    result: Array = np.float32(0.5) * (1 + np.tanh(x * np.float32(0.5)))
    return result


def network_size(sample: Sample, head: str) -> tuple[int, int]:
    """Return width and height of the network's input.

    Raises:
        BadOption: The sample is not a picture.
    """
    if sample.placement is None:
        problem = f"decoder {head} needs a network whose only input is a picture"
        raise BadOption(problem, remedy="Choose another --decoder.")
    return sample.placement.network
