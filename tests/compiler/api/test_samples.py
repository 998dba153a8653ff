"""Golden inputs that ONNX Runtime cannot run are left out, as long as there are others."""

from __future__ import annotations

import numpy as np
import pytest

from edgec.api.compile import _that_run
from edgec.errors import CannotRunInputs
from edgec.record import Record
from tests.support.models import model

ROWS = """g (float[1, 8] x) => (float[n, m] y) <float one = {1}, int64[2] sizes = {0, -1}>
    { c = Greater (x, one)  i = NonZero (c)  t = Transpose (i)  f = Cast <to = 1> (t)  y = Reshape (f, sizes) }"""
"""Rows of what is found, as a detector in two stages makes them: Reshape cannot divide nothing among nothing."""


def test_a_sample_in_which_nothing_is_found_is_left_out() -> None:
    nothing, something = ({"x": np.full((1, 8), value, np.float32)} for value in (0, 2))
    record = Record()
    samples, outputs = _that_run(model(ROWS, opset=18), [nothing, something], record)
    assert [sample["x"][0, 0] for sample in samples] == [2]
    assert outputs[0]["y"].shape == (8, 2)
    assert record.refusals[0].where == "sample 0" and "Reshape" in record.refusals[0].reason


def test_without_any_that_runs_the_first_reason_is_told() -> None:
    with pytest.raises(CannotRunInputs, match="Reshape"):
        _that_run(model(ROWS, opset=18), [{"x": np.zeros((1, 8), np.float32)}], Record())
