"""Text recognition: exact match, edit distance, and their weighted sum."""

from __future__ import annotations

import numpy as np

from edgec.data.labels import Text
from edgec.data.metrics.base import MetricContext, MetricResult, Outputs, refuse_empty, require_decoder, require_label
from edgec.data.samples import Sample

EXACT_WEIGHT, EDIT_WEIGHT = 0.5, 0.5


class Recognition:
    """0.5 * exact match + 0.5 * edit similarity, 0..1; the parts are in the details.

    Exact match: fraction of the samples whose text is right to the last character. Edit similarity: mean of
    1 - d / max(len(a), len(b)), d the Levenshtein distance (1966) between the texts a and b; 1 if both are empty.
    """

    name = "recognition"

    def __init__(self, context: MetricContext) -> None:
        self._decoder = require_decoder(context, "text", None, self.name)
        self._samples = 0
        self._exact = 0
        self._similarity = 0.0

    def update(self, outputs: Outputs, sample: Sample) -> None:
        """Process the text of one sample labelled with a `Text`."""
        truth = require_label(sample, Text, self.name).text
        found = self._decoder(outputs, sample)
        self._samples += 1
        self._exact += found == truth
        self._similarity += similarity(found, truth)

    def result(self) -> MetricResult:
        """Return the weighted sum, with its parts."""
        refuse_empty(self._samples, self.name)
        exact, edit = self._exact / self._samples, self._similarity / self._samples
        return self._judge(exact, edit)

    def _judge(self, exact: float, edit: float) -> MetricResult:
        value = EXACT_WEIGHT * exact + EDIT_WEIGHT * edit
        return MetricResult(value, True, {"exact-match": exact, "edit-distance": edit})


class ExactMatch(Recognition):
    """Fraction of the samples whose text is right to the last character, 0..1."""

    name = "exact-match"

    def _judge(self, exact: float, edit: float) -> MetricResult:
        return MetricResult(exact, True)


class EditDistance(Recognition):
    """Mean of 1 - normalized Levenshtein distance, 0..1: higher is better; see `Recognition`."""

    name = "edit-distance"

    def _judge(self, exact: float, edit: float) -> MetricResult:
        return MetricResult(edit, True)


def similarity(a: str, b: str) -> float:
    """Return 1 - levenshtein(a, b) / max(len(a), len(b)); 1 if both are empty."""
    longest = max(len(a), len(b))
    return 1 - levenshtein(a, b) / longest if longest else 1.0


def levenshtein(a: str, b: str) -> int:
    """Return the minimum number of insertions, deletions and substitutions of a character that turn `a` into `b`.

    It uses Wagner and Fischer's table (1974), row by row. Within a row, insertions are a running minimum of
    `cell - column`, so numpy does it without a loop over the columns.
    """
    target = np.array([ord(char) for char in b], np.int64)
    columns = np.arange(len(b) + 1)
    row = columns.copy()
    for count, char in enumerate(a, start=1):
        replaced = row[:-1] + (target != ord(char))
        row = np.concatenate([[count], np.minimum(replaced, row[1:] + 1)])
        row = np.minimum.accumulate(row - columns) + columns
    return int(row[-1])
