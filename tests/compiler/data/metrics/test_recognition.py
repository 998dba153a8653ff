"""Edit distance equals rapidfuzz's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from edgec.data.decoders.base import Decoder, Kind
from edgec.data.labels import Text
from edgec.data.metrics.base import MetricContext, MetricResult, make_metric
from edgec.data.metrics.recognition import levenshtein, similarity
from edgec.data.samples import Sample
from edgec.errors import BadOption


class Told(Decoder):
    """The output is the text, as code points."""

    kind: ClassVar[Kind] = "text"

    def __call__(self, outputs: Mapping[str, Any], sample: Sample) -> str:
        return "".join(map(chr, outputs["text"]))


def measure(name: str, pairs: list[tuple[str, str]]) -> MetricResult:
    metric = make_metric(name, MetricContext(Told()))
    for index, (found, truth) in enumerate(pairs):
        outputs = {"text": np.array([ord(char) for char in found], np.int64)}
        metric.update(outputs, Sample(str(index), {}, Text(truth)))
    return metric.result()


@given(st.text("abc车牌", max_size=12), st.text("abc车牌", max_size=12))
def test_equals_rapidfuzz(a: str, b: str) -> None:
    assert levenshtein(a, b) == Levenshtein.distance(a, b)
    assert similarity(a, b) == pytest.approx(Levenshtein.normalized_similarity(a, b), abs=1e-12)


PAIRS = {
    "mixed": [("kitten", "sitting"), ("京A12345", "京A12345"), ("京A1234", "京A12345"), ("", "x"), ("flaw", "lawn")],
    "all right": [("a", "a"), ("", "")],
    "all wrong": [("aaa", "bbb"), ("", "b"), ("b", "")],
    "long": [("ab" * 300, "ba" * 299)],
}


@pytest.mark.parametrize("case", PAIRS)
def test_metrics_are_means_over_the_samples(case: str) -> None:
    pairs = PAIRS[case]
    exact = sum(a == b for a, b in pairs) / len(pairs)
    edit = sum(Levenshtein.normalized_similarity(a, b) for a, b in pairs) / len(pairs)
    assert measure("exact-match", pairs).value == pytest.approx(exact, abs=1e-12)
    assert measure("edit-distance", pairs).value == pytest.approx(edit, abs=1e-12)
    both = measure("recognition", pairs)
    assert both.value == pytest.approx(0.5 * exact + 0.5 * edit, abs=1e-12)
    assert both.details == pytest.approx({"exact-match": exact, "edit-distance": edit})


def test_a_decoder_is_needed() -> None:
    with pytest.raises(BadOption, match="needs a decoder that returns text"):
        make_metric("exact-match")
