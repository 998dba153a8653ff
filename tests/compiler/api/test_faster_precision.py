"""A precision that is faster on the board, which the user did not ask for, is named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edgec.api.faster_precision import faster_precision
from edgec.options import compile_options
from edgec.profile import Profile
from tests.support.models import CONV_BN_RELU, model

TIMES = {"fp32": 1.0, "fp16": 0.5, "int8": 0.3}


def profile(*precisions: str) -> Profile:
    return Profile(precisions=precisions, estimate=lambda layers, precision, in_float=(): (TIMES[precision],))


@pytest.mark.parametrize(
    ("precisions", "given", "said"),
    [
        (("fp32", "fp16"), {}, "fp16 is estimated to take 50% .* --precision fp16 selects it"),
        (("fp32", "fp16", "int8"), {}, "int8 is estimated to take 30% .* --precision int8 and --data select it"),
        (("fp32",), {}, None),
        (("fp32", "fp16"), {"precision": "fp32"}, None),
        (("fp32", "fp16"), {"max_loss": 0.01, "data": "d"}, None),
    ],
)
def test_what_is_said(precisions: tuple[str, ...], given: dict[str, Any], said: str | None) -> None:
    found = faster_precision(model(CONV_BN_RELU), compile_options({"target": "x", **given}), profile(*precisions))
    assert (found is None) == (said is None)
    assert said is None or re.match(said, found or "")
