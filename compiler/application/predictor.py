"""`Predictor`: a picture in, a typed result out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from PIL import Image

from edgec.application.record import Application
from edgec.application.results.base import Result
from edgec.application.results.read import read_result
from edgec.data.any_picture import AnyPicture, as_picture
from edgec.data.decoders.base import Decoder
from edgec.data.decoders.read import read_decoder
from edgec.data.pictures import picture_input, picture_sample
from edgec.errors import BadOption
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing

Arrays = Mapping[str, np.ndarray[Any, Any]]

MIN_SCORE = 0.25
"""Objects with less are not shown to people; metrics look at them too."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """Prepares a picture, runs the network and reads its outputs.

    Attributes:
        run: Inputs by name -> outputs by name.
        inputs: The network's inputs.
        preprocessing: How a picture becomes its input.
        decoder: Reads the outputs, see `decoder_for_people`.
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
        """Return what the network says of a picture, or of each of a list.

        Raises:
            BadOption: A picture cannot be read, or the network takes none, or its outputs do not fit the decoder.
        """
        if isinstance(picture, (list, tuple)):
            return [self._predict(each) for each in picture]
        return self._predict(picture)

    def _predict(self, given: AnyPicture) -> Result:
        picture = as_picture(given)
        sample = picture_sample("picture", picture, None, picture_input(self.inputs), self.preprocessing)
        said = self.decoder(self.run(sample.inputs), sample)
        return read_result(self.decoder, said, picture.size)


def decoder_for_people(application: Application | None, given: str | None, min_score: float | None) -> Decoder:
    """Return a decoder that gives what people want to see: nothing of a low score.

    Args:
        application: What the artefact knows of its outputs.
        given: A decoder as for `read_decoder`, instead of the artefact's; it keeps the artefact's class names.
        min_score: Lowest score of an object; default: the decoder's, where it was set, else `MIN_SCORE`.

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
        problem = "the artefact has no decoder: what its outputs mean is not known"
        remedy = "Give one (--decoder yolov8, in Python decoder='yolov8'), here or when it is compiled."
        raise BadOption(problem, remedy=remedy)
    if "min_score" not in type(decoder).model_fields:
        if min_score is not None:
            raise BadOption("a lowest score is for boxes, this decoder gives none", remedy="Leave it out.")
        return decoder
    if min_score is not None and not 0 <= min_score <= 1:
        raise BadOption(f"lowest score {min_score}: not from 0 to 1")
    if min_score is None and "min_score" in decoder.model_fields_set:
        return decoder
    default = max(MIN_SCORE, type(decoder).model_fields["min_score"].default)
    return decoder.model_copy(update={"min_score": default if min_score is None else min_score})


def check_fit(
    decoder: Decoder, outputs: Iterable[TensorSpec], inputs: Sequence[TensorSpec], how: Preprocessing
) -> None:
    """Refuse a decoder that cannot read outputs of these shapes, or whose class names are not as many as classes.

    Raises:
        BadOption: It is so; says which output, and what the decoder wants.
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
