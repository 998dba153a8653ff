"""What may be fed: arrays that are exactly the inputs, however they lie in memory; nothing is cast or reshaped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgec.errors import BadOption
from edgec.model.signature import TensorSpec, check_feeds

IMAGE = TensorSpec(name="image", shape=(1, 3, 4, 5), dtype="float32")
COUNT = TensorSpec(name="count", shape=(), dtype="int64")
PIXELS = np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5)


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        np.asfortranarray(PIXELS),
        np.ascontiguousarray(PIXELS.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        np.repeat(PIXELS, 2, axis=3)[..., ::2],
        np.ascontiguousarray(PIXELS[..., ::-1])[..., ::-1],
        PIXELS.astype(">f4"),
        read_only(PIXELS),
    ],
    ids=["plain", "fortran", "transposed", "strided", "backwards", "big endian", "read-only"],
)
def test_the_layout_in_memory_does_not_matter(given: np.ndarray) -> None:
    (array,) = check_feeds({"image": given}, [IMAGE]).values()
    np.testing.assert_array_equal(array, PIXELS)
    assert array.flags.c_contiguous
    assert array.dtype.isnative


def test_a_scalar_stays_one() -> None:
    assert check_feeds({"count": np.int64(3)}, [COUNT])["count"].shape == ()


OTHERS = {
    "NHWC": PIXELS.transpose(0, 2, 3, 1),
    "no batch": PIXELS[0],
    "flat": PIXELS.reshape(1, 3, 20),
    "uint8": PIXELS.astype(np.uint8),
    "int64": PIXELS.astype(np.int64),
    "double": PIXELS.astype(np.float64),
    "complex": PIXELS.astype(np.complex64),
    "text": PIXELS.astype(str),
    "objects": PIXELS.astype(object),
    "list": PIXELS.tolist(),
    "name of a file": "picture.png",
    "number": 1e300,
    "none": None,
}


@pytest.mark.parametrize("given", OTHERS.values(), ids=OTHERS.keys())
def test_another_shape_or_type_is_refused(given: Any) -> None:
    with pytest.raises(BadOption, match=r"input 'image' is .*, but the model expects image: float32\[1x3x4x5\]"):
        check_feeds({"image": given}, [IMAGE])


def test_missing_and_unknown_inputs_are_named() -> None:
    with pytest.raises(BadOption, match=r"input count: int64\[\] was not given"):
        check_feeds({"image": PIXELS}, [IMAGE, COUNT])
    with pytest.raises(BadOption, match=r"no input is called 'imgae'\nDid you mean image\\?"):
        check_feeds({"imgae": PIXELS}, [IMAGE])
