"""`Predictor`: turns a picture into a typed result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, overload

import numpy as np
from PIL import Image

from edgec.application.record import Application
from edgec.application.results.base import Result
from edgec.application.results.read import read_result
from edgec.application.stages import STAGES
from edgec.data.any_picture import AnyPicture, as_picture
from edgec.data.decoders.base import Decoder
from edgec.data.decoders.read import read_decoder
from edgec.data.pictures import picture_input, picture_sample
from edgec.errors import BadOption
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing

Arrays = Mapping[str, np.ndarray[Any, Any]]

MIN_SCORE = 0.25
"""Minimum score of objects that are shown to people; metrics also use objects of lower scores."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """Preprocesses a picture, runs the network and decodes its outputs.

    Attributes:
        run: Inputs by name -> outputs by name.
        inputs: The network's inputs.
        preprocessing: How a picture becomes the network's input.
        decoder: Decodes the outputs, see `decoder_for_people`.
    """

    run: Callable[[Arrays], Arrays]
    inputs: Sequence[TensorSpec]
    preprocessing: Preprocessing
    decoder: Decoder

    @overload
    def predict(self, picture: AnyPicture) -> Result: ...

    @overload
    def predict(self, picture: list[AnyPicture] | tuple[AnyPicture, ...]) -> list[Result]: ...

    def predict(self, picture: AnyPicture | list[AnyPicture] | tuple[AnyPicture, ...]) -> Result | list[Result]:
        """Return the result for a picture, or for each of a list.

        Raises:
            BadOption: A picture cannot be read, the network takes no pictures, or its outputs do not fit the decoder.
        """
        if isinstance(picture, (list, tuple)):
            return [self._predict(each) for each in picture]
        return self._predict(picture)

    def _predict(self, given: AnyPicture) -> Result:
        return self.timed(given)[0]

    def timed(self, given: AnyPicture) -> tuple[Result, dict[str, float]]:
        """Return what the network says of one picture, and how many seconds each of `STAGES` took.

        Raises:
            BadOption: As `predict`.
        """
        marks = [time.perf_counter()]

        def passed() -> None:
            marks.append(time.perf_counter())

        picture = as_picture(given)
        picture.load()  # what a lazy file is read by
        passed()
        sample = picture_sample("picture", picture, None, picture_input(self.inputs), self.preprocessing)
        passed()
        outputs = self.run(sample.inputs)
        passed()
        result = read_result(self.decoder, self.decoder(outputs, sample), picture.size)
        passed()
        return result, {stage: end - begin for stage, (begin, end) in zip(STAGES, pairwise(marks), strict=True)}


def decoder_for_people(application: Application | None, given: str | None, min_score: float | None) -> Decoder:
    """Return a decoder for results that are shown to people: it drops objects of a low score.

    Args:
        application: What is known of the artefact's outputs.
        given: A decoder as for `read_decoder`, instead of the artefact's; it keeps the artefact's class names.
        min_score: Minimum score of an object; default: the decoder's, if it was set, else `MIN_SCORE`.

    Raises:
        BadOption: There is no decoder, or it has no scores.
    """
    if given is not None:
        decoder = read_decoder(given)
        if application is not None and not decoder.classes and "classes" in application.settings:
            decoder = decoder.model_copy(update={"classes": tuple(application.settings["classes"])})
    elif application is not None:
        decoder = application.open()
    else:
        problem = "the artefact has no decoder: the meaning of its outputs is unknown"
        remedy = "Give one (--decoder yolov8, in Python decoder='yolov8'), here or when compiling."
        raise BadOption(problem, remedy=remedy)
    if "min_score" not in type(decoder).model_fields:
        if min_score is not None:
            raise BadOption("a minimum score is for boxes, but this decoder returns none", remedy="Leave it out.")
        return decoder
    if min_score is not None and not 0 <= min_score <= 1:
        raise BadOption(f"minimum score {min_score} is not between 0 and 1")
    if min_score is None and "min_score" in decoder.model_fields_set:
        return decoder
    default = max(MIN_SCORE, type(decoder).model_fields["min_score"].default)
    return decoder.model_copy(update={"min_score": default if min_score is None else min_score})


def check_fit(
    decoder: Decoder, outputs: Iterable[TensorSpec], inputs: Sequence[TensorSpec], how: Preprocessing
) -> None:
    """Raise an error for a decoder that cannot read outputs of these shapes, or with the wrong number of class names.

    Raises:
        BadOption: The message names the output, and what the decoder needs.
    """
    outputs = tuple(outputs)
    blank = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in outputs}
    picture = Image.new("RGB", (8, 8))
    decoder(blank, picture_sample("blank", picture, None, picture_input(inputs), how))
    count = decoder.class_count(blank)
    if decoder.classes and count is not None and count != len(decoder.classes):
        shapes = ", ".join(str(spec) for spec in outputs)
        problem = f"{len(decoder.classes)} class names, but the network's outputs are of {count} classes ({shapes})"
        raise BadOption(problem, remedy="Give as many names as there are classes, in the network's order (--classes).")
