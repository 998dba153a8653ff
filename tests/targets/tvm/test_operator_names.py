"""The list of operators that needs no TVM says what the importer has."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm")

from edgec.targets.tvm.operator_names import OPERATORS
from edgec.targets.tvm.operators.converters import CONVERTERS, FAMILIES
from edgec.targets.tvm.supported import CONTROL_FLOW


def test_the_names_are_those_of_the_converters() -> None:
    assert {*CONTROL_FLOW, *(name for name in CONVERTERS if "::" not in name)} == OPERATORS


def test_every_operator_is_in_one_family() -> None:
    assert sum(len(family.CONVERTERS) for family in FAMILIES) == len(CONVERTERS)
