"""Golden inputs that are equal on every machine and with every numpy version: printed pages and random numbers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes  # noqa: F401  (numpy knows the names of the small floats only after this)
import numpy as np

from edgec.errors import UnsupportedModel
from edgec.limits import check_memory
from edgec.model.signature import TensorSpec
from edgec.reference.printed_page import is_picture, printed_page, random_shapes

Array = np.ndarray[Any, Any]

SAMPLES = 3
MOST_BYTES = 1 << 24
"""Maximum size in bytes of all samples together, which are stored in an artefact."""
LEAST_RANK = 3
"""Minimum number of axes of feature tensors; vectors are often sizes or factors, which may not be negative."""
PIXEL_VALUES = 256
WORKING_SPACE = 4
"""Memory needed to generate an array, as a multiple of the array's size."""
SMALL_INTEGERS = 10
"""Upper bound of integers wider than a byte, which are more often indices or counts than pixels."""


def golden_inputs(specs: Sequence[TensorSpec], seed: int) -> dict[str, Array]:
    """Return one array per input: a printed page if it looks like a picture, else as `random_inputs`.

    Args:
        specs: Names, shapes and dtypes.
        seed: Any non-negative integer.

    Raises:
        UnsupportedModel: An input is neither float nor integer nor boolean.
    """
    total = sum(math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in specs)
    check_memory(WORKING_SPACE * total, "generating golden inputs of these shapes")
    random = random_inputs([spec for spec in specs if not is_picture(spec)], seed)
    return {spec.name: random[spec.name] if spec.name in random else printed_page(spec, seed) for spec in specs}


def golden_samples(specs: Sequence[TensorSpec], seed: int) -> list[dict[str, Array]]:
    """Return `golden_inputs`, and further samples with other answers of the network, up to a total size.

    Pictures are random shapes, once as bright as the page and once with values around 0, like normalized pictures;
    all other inputs of three axes or more also have values around 0.

    Raises:
        UnsupportedModel: As `golden_inputs`.
    """
    first = golden_inputs(specs, seed)
    size = max(1, sum(array.nbytes for array in first.values()))
    samples = [first]
    for index in range(1, min(SAMPLES, MOST_BYTES // size)):
        sample = random_inputs(specs, seed + index)
        sample |= {spec.name: random_shapes(spec, seed + index) for spec in specs if is_picture(spec)}
        if index == 1:
            samples.append(sample)
            continue
        samples.append({spec.name: _around_zero(sample[spec.name]) for spec in specs})
    return samples


def _around_zero(array: Array) -> Array:
    wide = array.dtype.kind == "f" and array.ndim >= LEAST_RANK
    return np.asarray(array * 4 - 2, array.dtype) if wide else array


def random_inputs(specs: Sequence[TensorSpec], seed: int) -> dict[str, Array]:
    """Return one random array per input.

    Floats are uniform in [0, 1), bytes are uniform over their non-negative range, other integers are 0 to 9, booleans
    are fair. An array depends only on seed, name, shape and dtype, not on the other inputs. It is made from the raw
    output of the Philox generator, the part of numpy's random module that promises never to change.

    Args:
        specs: Names, shapes and dtypes.
        seed: Any non-negative integer.

    Raises:
        UnsupportedModel: An input is neither float nor integer nor boolean.
    """
    return {spec.name: _random_array(spec, seed) for spec in specs}


def _random_array(spec: TensorSpec, seed: int) -> Array:
    key = int.from_bytes(hashlib.sha256(f"{seed}:{spec.name}".encode()).digest()[:16], "little")
    count = int(np.prod(spec.shape, dtype=np.int64))
    bits = np.random.Philox(key=key).random_raw(count).reshape(spec.shape)
    dtype = np.dtype(spec.dtype)
    if dtype == np.bool_:
        return np.asarray(bits >> np.uint64(63)).astype(np.bool_)  # numpy returns a bare scalar for rank 0
    if dtype.kind in "iu":
        below = SMALL_INTEGERS if dtype.itemsize > 1 else PIXEL_VALUES if dtype.kind == "u" else PIXEL_VALUES // 2
        return np.asarray(bits % np.uint64(below)).astype(dtype)
    if dtype.kind == "f" or "float" in dtype.name:
        # 24 bits fill the mantissa of a float32: the conversion is exact and 1.0 cannot occur.
        unit = np.asarray((bits >> np.uint64(40)).astype(np.float64) * 2.0**-24).astype(np.float32)
        return unit if dtype == np.float32 else unit.astype(dtype)
    raise UnsupportedModel(
        f"golden inputs cannot be generated for the type of input {spec}", remedy="Give golden inputs of your own."
    )
