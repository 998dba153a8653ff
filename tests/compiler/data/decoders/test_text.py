"""Text: rectangles around regions of probability (DBNet), and characters from class scores (CTC)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from edgec.data.decoders.ctc import Ctc
from edgec.data.decoders.dbnet import Dbnet, text_rectangles
from edgec.data.decoders.read import read_decoder
from edgec.data.decoders.regions import hull, regions, smallest_rectangle
from edgec.data.placement import Placement
from edgec.data.samples import Sample
from edgec.errors import BadOption
from tests.support.models import proto

SAMPLE = Sample("a", {}, None, Placement.identity((160, 120)))


# Geometry -------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.7))
def test_regions_are_those_of_cells_that_touch(seed: int, density: float) -> None:
    """Clusters of points no further apart than a diagonal, by scikit-learn."""
    mask = np.random.default_rng(seed).random((17, 23)) < density
    mask[3, 4] = True
    rows, columns = np.nonzero(mask)
    clusters = DBSCAN(eps=1.5, min_samples=1).fit_predict(np.stack([rows, columns], axis=1))

    def extent(ys: np.ndarray, xs: np.ndarray) -> tuple[int, int, int, int]:
        return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())

    expected = sorted(extent(rows[clusters == k], columns[clusters == k]) for k in np.unique(clusters))
    assert sorted(extent(*region) for region in regions(mask)) == expected


def test_no_regions() -> None:
    assert regions(np.zeros((5, 6), bool)) == []


def test_hull_leaves_out_what_lies_within() -> None:
    square = np.array([[x, y] for x in range(4) for y in range(4)])
    assert sorted(map(tuple, hull(square).tolist())) == [(0, 0), (0, 3), (3, 0), (3, 3)]
    assert hull(np.array([[2, 5], [2, 5]])).tolist() == [[2, 5]]
    assert sorted(hull(np.array([[0, 0], [1, 1], [3, 3]])).tolist()) == [[0, 0], [3, 3]]


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.7, 1.2])
def test_smallest_rectangle_of_a_turned_rectangle(angle: float) -> None:
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[0, 0], [50, 0], [50, 12], [0, 12]]) @ turn
    found = smallest_rectangle(corners)
    assert sorted(np.linalg.norm(found - np.roll(found, 1, axis=0), axis=1)) == pytest.approx([12, 12, 50, 50])
    distances = np.linalg.norm(found[:, None] - corners[None], axis=-1)
    np.testing.assert_allclose(distances.min(axis=1), 0, atol=1e-9)


# DBNet ----------------------------------------------------------------------------------------------------------------


def test_boxes_grow_by_area_over_perimeter() -> None:
    probability = np.zeros((1, 1, 120, 160), np.float32)
    probability[0, 0, 20:31, 40:91] = 0.9  # cells 20..30, 40..90: a rectangle of 50 x 10 between their centres
    growth = 50 * 10 * 1.6 / 120
    found = Dbnet()({"y": probability}, SAMPLE)
    np.testing.assert_allclose(found.boxes, [[40 - growth, 20 - growth, 90 + growth, 30 + growth]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.9], atol=1e-6)
    assert found.labels.tolist() == [0]


def test_boxes_are_mapped_to_the_original_picture() -> None:
    probability = np.zeros((1, 1, 60, 80), np.float32)
    probability[0, 0, 20:31, 10:61] = 0.9
    placement = Placement((320, 240), (160, 120), (0.5, 0.5), (0.0, 0.0))
    (box,) = Dbnet(unclip_ratio=0)({"y": probability}, Sample("a", {}, None, placement)).boxes
    np.testing.assert_allclose(box, [40, 80, 240, 120])


def test_a_slanted_line_gives_a_slanted_rectangle() -> None:
    ys, xs = np.meshgrid(np.arange(120), np.arange(160), indexing="ij")
    angle = 0.4
    along = (xs - 80) * np.cos(angle) + (ys - 60) * np.sin(angle)
    across = (ys - 60) * np.cos(angle) - (xs - 80) * np.sin(angle)
    probability = ((abs(along) <= 50) & (abs(across) <= 8)).astype(np.float32)
    rectangles, scores = text_rectangles(probability, 0.3, 0.0, 0.5)
    sides = np.linalg.norm(rectangles[0] - np.roll(rectangles[0], 1, axis=0), axis=1)
    np.testing.assert_allclose(sorted(sides), [16, 16, 100, 100], atol=1.5)
    assert scores[0] > 0.97


def test_small_and_doubtful_regions_are_left_out() -> None:
    probability = np.zeros((1, 1, 120, 160), np.float32)
    probability[0, 0, 10:12, 10:60] = 1  # too thin
    probability[0, 0, 40:60, 10:60] = 0.4  # above the threshold, below the score
    assert len(Dbnet()({"y": probability}, SAMPLE).boxes) == 0
    assert len(Dbnet(min_score=0.35)({"y": probability}, SAMPLE).boxes) == 1


def test_an_output_that_is_no_map_is_refused() -> None:
    with pytest.raises(BadOption, match="decoder dbnet"):
        Dbnet()({"y": np.zeros((1, 2, 4, 4), np.float32)}, SAMPLE)


# CTC ------------------------------------------------------------------------------------------------------------------


def scores(steps: list[int], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[steps][None]


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text("a\nb\n\u2028\n车\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([1, 1, 0, 1, 2, 2, 4], "aab车"),
        ([0, 0, 0], ""),
        ([2, 0, 2, 5, 5, 3], "bb \u2028"),
        ([1], "a"),
    ],
)
def test_repeats_merge_and_blanks_part(dictionary: Path, steps: list[int], text: str) -> None:
    assert Ctc(dictionary=dictionary)({"y": scores(steps, 6)}, SAMPLE) == text


def test_a_network_without_space(dictionary: Path) -> None:
    assert Ctc(dictionary=dictionary)({"y": scores([4, 3], 5)}, SAMPLE) == "车\u2028"


def test_the_dictionary_of_a_model(tmp_path: Path) -> None:
    model = proto("g (float[1, 3, 5] x) => (float[1, 3, 5] y) { y = Relu (x) }")
    path = tmp_path / "rec.onnx"
    onnx.save(model, path)
    with pytest.raises(BadOption, match="no metadata 'character'"):
        read_decoder("ctc", path)({"y": scores([1], 5)}, SAMPLE)
    model.metadata_props.add(key="character", value="x\ny\nz")
    onnx.save(model, path)
    assert read_decoder("ctc", path)({"y": scores([3, 1, 2, 4], 5)}, SAMPLE) == "zxy "


def test_a_dictionary_of_another_size_is_refused(dictionary: Path) -> None:
    with pytest.raises(BadOption, match=r"8 classes.*4 characters"):
        Ctc(dictionary=dictionary)({"y": scores([1], 8)}, SAMPLE)


def test_a_dictionary_is_needed_and_must_be_there() -> None:
    with pytest.raises(BadOption, match="a dictionary is needed: dictionary=FILE"):
        read_decoder("ctc")
    with pytest.raises(BadOption, match=r"no\.txt"):
        read_decoder("ctc,dictionary=no.txt")({"y": scores([1], 8)}, SAMPLE)
