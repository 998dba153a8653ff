"""CTC text recognition (PP-OCR rec), decoded greedily."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import model_validator

from edgec.data.decoders.base import Decoder, Kind, Outputs, check_shape, pick
from edgec.data.samples import Sample
from edgec.errors import BadOption, reason
from edgec.model.load import load

METADATA_KEY = "character"
BLANK = 0


class Ctc(Decoder):
    """Class scores [1, steps, classes] -> the text: best class of each step, repeats merged, blanks removed.

    Source: Graves et al., "Connectionist Temporal Classification", 2006 (best path decoding). Class 0 is the blank,
    class k the k-th character of the dictionary; one further class is the space, as in PaddleOCR.
    """

    kind: ClassVar[Kind] = "text"

    output: str | None = None
    """Name of the output; default: the first."""
    dictionary: Path | None = None
    """A UTF-8 file, one character per line, or an ONNX model that has them in its metadata as `character`."""
    characters: tuple[str, ...] = ()
    """The characters of classes 1, 2, ... themselves, instead of a file."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Ctc:
        if self.dictionary is None and not self.characters:
            raise ValueError("a dictionary is needed: dictionary=FILE, with one character per line")
        return self

    @classmethod
    def settings_of(cls, model: Path) -> dict[str, Any]:
        """Return the model as its own dictionary."""
        return {"dictionary": model}

    def __call__(self, outputs: Outputs, sample: Sample) -> str:
        """Return the text."""
        scores = check_shape(pick(outputs, self.output), "[1, steps, classes]", "ctc")
        extra = scores.shape[1] - 1 - len(self.alphabet)
        if extra not in (0, 1):
            source, count = self.dictionary or "the dictionary", len(self.alphabet)
            problem = f"decoder ctc: {scores.shape[1]} classes, but {source} has {count} characters"
            raise BadOption(problem, remedy="Give the network's own dictionary: dictionary=FILE.")
        best = scores.argmax(axis=1)
        kept = best[np.flatnonzero(np.diff(best, prepend=BLANK))]  # the steps at which the class changes
        alphabet = (*self.alphabet, " ")
        return "".join(alphabet[k - 1] for k in kept if k != BLANK)

    def self_contained(self) -> dict[str, Any]:
        """See `Decoder.self_contained`."""
        settings = super().self_contained() | {"characters": list(self.alphabet)}
        settings.pop("dictionary", None)
        return settings

    @cached_property
    def alphabet(self) -> tuple[str, ...]:
        """The characters of classes 1, 2, ...

        Raises:
            BadOption: The file is unreadable, or the model has no dictionary.
        """
        return self.characters if self.dictionary is None else _characters(self.dictionary)


def _characters(path: Path) -> tuple[str, ...]:
    if path.suffix == ".onnx":
        metadata: dict[str, Any] = dict(load(path).model.metadata_props)
        if METADATA_KEY not in metadata:
            remedy = "Give the dictionary as a file: --decoder ctc,dictionary=FILE."
            raise BadOption(f"{path} has no metadata {METADATA_KEY!r} with its dictionary", remedy=remedy)
        text = str(metadata[METADATA_KEY])
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            remedy = "Give a UTF-8 file with one character per line."
            raise BadOption(f"dictionary {path}: {reason(error)}", remedy=remedy) from error
    return characters_of(text)


def characters_of(text: str) -> tuple[str, ...]:
    """Return the characters of a dictionary with one character per line."""
    # Only newlines separate: dictionaries contain other characters that count as line ends.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return tuple(lines[:-1] if lines[-1] == "" else lines)
