"""The default golden pictures: the same everywhere, and informative."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import TensorSpec, inputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import golden_inputs
from edgec.reference.printed_page import is_picture, printed_page
from edgec.reference.session import Reference
from tests.support.real_models import REAL_MODELS

PICTURE = TensorSpec(name="x", shape=(2, 3, 64, 96), dtype="float32")


def test_page_is_the_same_on_every_machine() -> None:
    digest = hashlib.sha256((printed_page(PICTURE, 0) * 1000).round().astype("<i4").tobytes()).hexdigest()
    assert digest[:16] == "3baf6641f610dbcb"


def test_channels_and_pictures_of_a_batch_differ() -> None:
    page = printed_page(PICTURE, 0)
    assert page.shape == PICTURE.shape
    assert 0 <= page.min() < page.max() <= 1
    assert not np.array_equal(page[0], page[1])
    assert not np.array_equal(page[:, 0], page[:, 1])


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((1, 3, 32, 32), "float32", True),
        ((1, 32, 32, 1), "float16", True),
        ((1, 16, 32, 32), "float32", False),
        ((1, 3, 8, 32), "float32", False),
        ((1, 3, 32, 32), "uint8", False),
        ((3, 32, 32), "float32", True),
        ((64, 48, 3), "float32", True),
        ((1, 80, 300), "float32", False),  # may be a sequence of features
    ],
)
def test_what_counts_as_a_picture(shape: tuple[int, ...], dtype: str, expected: bool) -> None:
    spec = TensorSpec(name="x", shape=shape, dtype=dtype)
    assert is_picture(spec) is expected
    assert golden_inputs([spec], 0)["x"].shape == shape


@pytest.mark.slow
def test_a_text_detector_answers_on_a_page() -> None:
    """Two correct evaluations of PP-OCR det differ by 2 % of its range on noise, by 3e-5 on a page."""
    real = REAL_MODELS["ppocr_det"]
    model = fix_shapes(load(real.require()).model, real.shapes)
    feeds = golden_inputs(inputs_of(model), 0)
    expected = Reference(model).run(feeds)
    assert max(array.max() for array in expected.values()) > 0.5
    assert compare(expected, Reference(model, optimize=True).run(feeds)).within(1e-4)


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32", "float16"])
def test_input_of_rank_0_is_an_array(dtype: str) -> None:
    array = golden_inputs([TensorSpec(name="flag", shape=(), dtype=dtype)], 0)["flag"]
    assert isinstance(array, np.ndarray)
    assert array.dtype == dtype


def test_a_page_may_lack_the_batch() -> None:
    batch, alone = (TensorSpec(name="x", shape=shape, dtype="float32") for shape in ((1, 3, 64, 48), (3, 64, 48)))
    np.testing.assert_array_equal(golden_inputs([alone], 0)["x"], golden_inputs([batch], 0)["x"][0])
