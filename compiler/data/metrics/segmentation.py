"""Segmentation: mean intersection over union."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.data.decoders.class_map import ClassMap
from edgec.data.labels import IGNORED, Mask
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


class MeanIou:
    """mIoU, 0..1: over all pixels, TP / (TP + FP + FN) of each class, averaged over the classes that occur.

    A class occurs if it is in a label or a prediction (Everingham et al., "PASCAL VOC", 2015; Jaccard index, macro
    average). Pixels whose label is `IGNORED` (255) or negative, and those outside the network's input, are ignored.
    """

    name = "miou"

    def __init__(self, context: MetricContext) -> None:
        self._decoder = require_decoder(context, "mask", ClassMap(), self.name)
        self._classes = Classes(context, self._decoder)
        self._confusion: np.ndarray[Any, Any] = np.zeros((0, 0), np.int64)
        self._samples = 0

    def update(self, outputs: Outputs, sample: Sample) -> None:
        """Process the classes of the pixels of one sample labelled with a `Mask`."""
        truth = require_label(sample, Mask, self.name).classes
        found = self._decoder(outputs, sample)
        if truth.shape != found.shape:
            raise BadOption(
                f"metric {self.name}: the mask of {sample.name} is {truth.shape}, the picture {found.shape}"
            )
        counts = (truth >= 0) & (truth != IGNORED) & (found >= 0) & (found != IGNORED)
        rows, columns = self._classes.number(truth[counts], sample), found[counts].astype(np.int64)
        self._samples += 1
        if rows.size == 0:
            return
        size = max(int(rows.max()), int(columns.max())) + 1
        if size > len(self._confusion):
            grown = np.zeros((size, size), np.int64)
            grown[: len(self._confusion), : len(self._confusion)] = self._confusion
            self._confusion = grown
        size = len(self._confusion)
        self._confusion += np.bincount(rows * size + columns, minlength=size * size).reshape(size, size)

    def result(self) -> MetricResult:
        """Return the mean, the fraction of pixels that are right, and the IoU of each class."""
        refuse_empty(self._samples, self.name)
        right = np.diag(self._confusion)
        union = self._confusion.sum(axis=0) + self._confusion.sum(axis=1) - right
        occurring = np.flatnonzero(union)
        if occurring.size == 0:
            raise BadOption(f"metric {self.name}: no pixel of the data counts", remedy="Check the masks.")
        ious = right[occurring] / union[occurring]
        by_class = {self._classes.name(int(k)): float(iou) for k, iou in zip(occurring, ious, strict=True)}
        accuracy = float(right.sum() / self._confusion.sum())
        return MetricResult(float(ious.mean()), True, {"pixel accuracy": accuracy, "per class": by_class})
