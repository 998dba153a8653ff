"""Top-k accuracy equals scikit-learn's, on random, tied and degenerate scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from edgec.data.decoders.scores import Scores
from edgec.data.labels import ClassLabel, Text
from edgec.data.metrics.base import MetricContext, MetricResult, make_metric
from edgec.data.samples import Sample
from edgec.errors import BadOption


def measure(name: str, scores: np.ndarray, labels: np.ndarray, context: MetricContext | None = None) -> MetricResult:
    metric = make_metric(name, context or MetricContext())
    for index, (row, label) in enumerate(zip(scores, labels, strict=True)):
        metric.update({"y": row[None]}, Sample(str(index), {}, ClassLabel(int(label))))
    return metric.result()


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 12, 300)
    right = np.eye(12)[labels]
    return {
        "random": (rng.standard_normal((300, 12)).astype(np.float32), labels),
        "ties": (rng.integers(0, 3, (300, 12)).astype(np.float32), labels),
        "all equal": (np.zeros((300, 12)), labels),
        "all right": (right, labels),
        "all wrong": (-right, labels),
        "one class": (rng.random((20, 1)), np.zeros(20, int)),
        "two classes": (rng.random((20, 2)), rng.integers(0, 2, 20)),
    }


@pytest.mark.parametrize("case", cases())
def test_equals_scikit_learn(case: str) -> None:
    scores, labels = cases()[case]
    classes = scores.shape[1]
    top1 = accuracy_score(labels, scores.argmax(axis=1))
    # Of ties scikit-learn prefers the higher class and ArgMax the lower: counted from the end, they agree.
    backwards = classes - 1 - labels, scores[:, ::-1]
    top5 = 1.0
    if classes > 5:
        top5 = top_k_accuracy_score(*backwards, k=5, labels=np.arange(classes))
    assert measure("top1", scores, labels).value == pytest.approx(top1, abs=1e-12)
    assert measure("top5", scores, labels).value == pytest.approx(top5, abs=1e-12)
    both = measure("classification", scores, labels)
    assert both.value == pytest.approx(0.7 * top1 + 0.3 * top5, abs=1e-12)
    assert {"top1": both.details["top1"], "top5": both.details["top5"]} == pytest.approx({"top1": top1, "top5": top5})


def test_scores_that_are_no_number_are_the_worst() -> None:
    assert measure("top1", np.array([[np.nan, 1.0], [np.nan, np.nan]]), np.array([1, 0])).value == 0.5


def test_classes_are_matched_by_name() -> None:
    context = MetricContext(Scores(classes=("dog", "cat")), classes=("cat", "dog"))
    assert measure("top1", np.array([[0.1, 0.9]]), np.array([0]), context).value == 1.0
    with pytest.raises(BadOption, match="'cow'"):
        make_metric("top1", MetricContext(Scores(classes=("dog", "cat")), classes=("cat", "cow")))


def test_loss_is_positive_where_it_got_worse() -> None:
    assert MetricResult(0.8, True).loss_against(MetricResult(0.9, True)) == pytest.approx(0.1)
    assert MetricResult(0.8, False).loss_against(MetricResult(0.9, False)) == pytest.approx(-0.1)


def test_a_class_the_network_lacks_is_refused() -> None:
    with pytest.raises(BadOption, match="class 3, but the network has 2"):
        measure("top1", np.zeros((1, 2)), np.array([3]))


@pytest.mark.parametrize(
    ("label", "message"), [(2, "0 is of class 2, but the data has 2 class names"), (-1, "0 is of class -1")]
)
def test_a_label_beyond_the_names_is_refused(label: int, message: str) -> None:
    context = MetricContext(Scores(classes=("dog", "cat")), classes=("cat", "dog"))
    with pytest.raises(BadOption, match=message):
        measure("top1", np.zeros((1, 2)), np.array([label]), context)


@pytest.mark.parametrize("label", [None, Text("a")])
def test_a_sample_without_class_is_refused(label: Text | None) -> None:
    with pytest.raises(BadOption, match=r"a\.png"):
        make_metric("top1").update({"y": np.zeros((1, 2))}, Sample("a.png", {}, label))


def test_no_samples_are_refused() -> None:
    with pytest.raises(BadOption, match="no samples"):
        make_metric("top1").result()


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(BadOption, match="Did you mean top"):
        make_metric("top2")


def test_the_details_say_which_class_is_taken_for_which() -> None:
    scores = np.eye(3)[[0, 1, 1, 2, 1]]
    context = MetricContext(Scores(classes=("cat", "dog", "cow")))
    found = measure("top1", scores, np.array([0, 0, 0, 2, 2]), context)
    assert found.details == {"taken_for": {"cat as dog": 2, "cow as dog": 1}}
    assert measure("top1", scores, np.array([0, 1, 1, 2, 1])).details == {}
