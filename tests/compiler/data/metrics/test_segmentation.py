"""mIoU equals scikit-learn's macro Jaccard score."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score

from edgec.data.labels import Mask
from edgec.data.metrics.base import MetricContext, MetricResult, make_metric
from edgec.data.placement import Placement
from edgec.data.samples import Sample
from edgec.errors import BadOption


def measure(truth: np.ndarray, found: np.ndarray, context: MetricContext | None = None) -> MetricResult:
    """`found` [n, h, w] are classes, or [n, c, h, w] scores."""
    metric = make_metric("miou", context or MetricContext())
    for index, (mask, output) in enumerate(zip(truth, found, strict=True)):
        metric.update({"y": output[None]}, Sample(str(index), {}, Mask(mask)))
    return metric.result()


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, (6, 20, 30))
    noisy = np.where(rng.random(truth.shape) < 0.3, rng.integers(0, 7, truth.shape), truth)
    return {
        "random": (truth, noisy),
        "all right": (truth, truth),
        "all wrong": (truth, truth + 1),
        "nothing in common": (truth, truth + 10),
        "one class": (truth * 0, truth * 0),
        "a class in the label alone": (truth, np.minimum(truth, 3)),
    }


@pytest.mark.parametrize("case", cases())
def test_equals_scikit_learn(case: str) -> None:
    truth, found = cases()[case]
    result = measure(truth, found)
    flat = truth.ravel(), found.ravel()
    assert result.value == pytest.approx(jaccard_score(*flat, average="macro", zero_division=0), abs=1e-9)
    assert result.details["pixel accuracy"] == pytest.approx(accuracy_score(*flat), abs=1e-12)
    occurring = np.union1d(truth, found)
    each = jaccard_score(*flat, average=None, zero_division=0)
    assert result.details["per class"] == pytest.approx({str(k): v for k, v in zip(occurring, each, strict=True)})


def test_ignored_pixels_do_not_count() -> None:
    truth = np.array([[[0, 1], [255, -1]]])
    assert measure(truth, np.array([[[0, 1], [1, 0]]])).value == 1.0


def test_scores_are_decided_by_the_best() -> None:
    scores = np.array([[[[1.0, 0.0]], [[0.5, 0.5]]]])  # 1 picture, 2 classes, 1 x 2 pixels
    assert measure(np.array([[[0, 1]]]), scores).value == 1.0


def test_a_coarse_map_is_compared_in_the_original_picture() -> None:
    metric = make_metric("miou")
    placement = Placement((4, 4), (64, 64), (16.0, 16.0))
    mask = np.kron([[0, 1], [2, 3]], np.ones((2, 2), int))
    metric.update({"y": np.array([[[0, 1], [2, 3]]])}, Sample("a", {}, Mask(mask), placement))
    assert metric.result().value == 1.0


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(BadOption, match=r"mask of 0 is \(3, 3\), the picture \(2, 2\)"):
        measure(np.zeros((1, 3, 3), int), np.zeros((1, 2, 2), int))


def test_masks_that_count_nothing_are_refused() -> None:
    with pytest.raises(BadOption, match="no pixel"):
        measure(np.full((1, 2, 2), 255), np.zeros((1, 2, 2), int))


def test_scores_of_a_single_class_are_refused() -> None:
    """The best of one is always class 0, whatever the network says."""
    with pytest.raises(BadOption, match=r"float64\[1, 1, 2, 2\], the scores of a single class"):
        measure(np.zeros((1, 2, 2), int), np.full((1, 1, 2, 2), 0.7))
    assert measure(np.ones((1, 2, 2), int), np.ones((1, 1, 2, 2), int)).value == 1.0  # classes, not scores


def test_outputs_that_are_no_map_are_refused() -> None:
    with pytest.raises(BadOption, match="which is not a map of classes"):
        measure(np.zeros((1, 2, 2), int), np.zeros((1, 7)))
