"""Arrays become arguments of a compiled network without a copy where they fit; results are copies."""

from __future__ import annotations

import numpy as np
import pytest
import tvm

from edgec.errors import BadOption
from edgec.model.signature import TensorSpec
from edgec.targets.tvm.arguments import ALIGNMENT, Arguments, arrays

LARGE = (256, 128)


def aligned(shape: tuple[int, ...], *, beside: int = 0) -> np.ndarray:
    """Float32 zeros that lie `beside` bytes behind an address that kernels take."""
    room = np.zeros(4 * int(np.prod(shape)) + 2 * ALIGNMENT, np.uint8)
    begin = -room.ctypes.data % ALIGNMENT + beside
    return room[begin : begin + 4 * int(np.prod(shape))].view(np.float32).reshape(shape)


def held(array: np.ndarray) -> tvm.runtime.Tensor:
    """What a network with one input would be given for `array`."""
    arguments = Arguments([TensorSpec(name="x", shape=array.shape, dtype=array.dtype.name)])
    return arguments.of(arguments.check({"x": array}))[0]


def test_a_large_array_that_fits_is_used_where_it_lies() -> None:
    array = aligned(LARGE)
    tensor = held(array)
    array[3, 5] = 7
    assert tensor.numpy()[3, 5] == 7


@pytest.mark.parametrize(
    "array",
    [
        aligned(LARGE, beside=4),
        aligned(LARGE).T,
        aligned(LARGE).astype(">f4"),
        np.broadcast_to(np.float32(2), LARGE),
        np.arange(6, dtype=np.int64).reshape(2, 3)[:, ::-1],
        np.array(True),
        np.zeros((0, 4), ">i8"),
        np.array([1, 2], np.float32).astype("bfloat16"),
    ],
    ids=["elsewhere", "transposed", "swapped bytes", "read-only", "strided", "scalar", "empty", "bfloat16"],
)
def test_what_does_not_fit_is_copied(array: np.ndarray) -> None:
    np.testing.assert_array_equal(held(array).numpy(), array)


def test_each_call_has_the_inputs_of_its_own() -> None:
    arguments = Arguments([TensorSpec(name="x", shape=(4,), dtype="float32")])
    for value in (1, 2):
        given = arguments.check({"x": np.full(4, value, np.float32)})
        assert (arguments.of(given)[0].numpy() == value).all()


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "input x: float32.* was not given"),
        ({"x": np.zeros(4, np.float32), "y": 1}, "no input is called 'y'"),
        ({"x": np.zeros(5, np.float32)}, "is float32.5., but the model expects x: float32.4."),
        ({"x": np.zeros(4)}, "is float64"),
    ],
)
def test_wrong_inputs_are_refused(feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        Arguments([TensorSpec(name="x", shape=(4,), dtype="float32")]).check(feeds)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bool", "int64", "bfloat16"])
def test_results_are_copies(dtype: str) -> None:
    tensor = tvm.runtime.tensor(np.ones((2, 3), dtype))
    (array,) = arrays(tensor)
    array[:] = 0
    assert (arrays([tensor])[0] == 1).all()
