"""Classification: top-1 and top-5 accuracy and their weighted sum."""

from __future__ import annotations

from collections import Counter

import numpy as np

from edgec.data.decoders.scores import Scores
from edgec.data.labels import ClassLabel
from edgec.data.metrics.base import (
    Classes,
    MetricContext,
    MetricResult,
    Outputs,
    refuse_empty,
    require_decoder,
    require_label,
)
from edgec.data.samples import Sample
from edgec.errors import BadOption

TOP1_WEIGHT, TOP5_WEIGHT = 0.7, 0.3


class Classification:
    """0.7 * top-1 + 0.3 * top-5, in 0..1.

    top-k = fraction of the samples whose class is among the k best scores. Among equal scores the lower class is
    better, as in ArgMax; a score that is NaN is the worst. With at most 5 classes, top-5 is 1.
    """

    name = "classification"

    def __init__(self, context: MetricContext) -> None:
        self._decoder = require_decoder(context, "scores", Scores(), self.name)
        self._classes = Classes(context, self._decoder)
        self._ranks: list[int] = []
        self._confusion: Counter[tuple[int, int]] = Counter()

    def update(self, outputs: Outputs, sample: Sample) -> None:
        """Process the scores of one sample with a `ClassLabel`."""
        scores = self._decoder(outputs, sample)
        label = int(self._classes.number(require_label(sample, ClassLabel, self.name).index, sample))
        if not 0 <= label < len(scores):
            problem = f"metric {self.name}: {sample.name} has class {label}, but the network has {len(scores)} classes"
            raise BadOption(problem, remedy="Give the class names in the network's order as classes.txt in the data.")
        better = np.count_nonzero(scores > scores[label]) + np.count_nonzero(scores[:label] == scores[label])
        self._confusion[label, int(np.argmax(scores))] += 1
        self._ranks.append(len(scores) if np.isnan(scores[label]) else int(better))

    def result(self) -> MetricResult:
        """Return the weighted sum, with top-1 and top-5."""
        top1, top5 = self.top(1), self.top(5)
        value = TOP1_WEIGHT * top1 + TOP5_WEIGHT * top5
        return MetricResult(value, True, {"top1": top1, "top5": top5} | self.mistakes())

    def top(self, k: int) -> float:
        """Return the top-k accuracy so far."""
        refuse_empty(len(self._ranks), self.name)
        return sum(rank < k for rank in self._ranks) / len(self._ranks)

    def mistakes(self) -> dict[str, dict[str, int]]:
        """Return the confusion matrix without its diagonal: how often each class was taken for which other one.

        Returns:
            `taken_for`: "CLASS as OTHER" -> number of samples, the most frequent first; empty where there is none.
        """
        pairs = [(pair, count) for pair, count in self._confusion.most_common() if pair[0] != pair[1]]
        name = self._classes.name
        named = {f"{name(label)} as {name(found)}": count for (label, found), count in pairs}
        return {"taken_for": named} if named else {}


class Top1(Classification):
    """Fraction of the samples whose class has the best score; ties as in `Classification`."""

    name = "top1"

    def result(self) -> MetricResult:
        """Return the top-1 accuracy."""
        return MetricResult(self.top(1), True, self.mistakes())


class Top5(Classification):
    """Fraction of the samples whose class is among the five best scores; ties as in `Classification`."""

    name = "top5"

    def result(self) -> MetricResult:
        """Return the top-5 accuracy."""
        return MetricResult(self.top(5), True)
