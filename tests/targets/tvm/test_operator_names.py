"""The list of operators that needs no TVM says what the importer has."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm")

from edgec.targets.tvm.operator_names import OPERATORS
from edgec.targets.tvm.operators.converters import CONVERTERS, FAMILIES


def test_the_names_are_those_of_the_converters() -> None:
    assert {*CONVERTERS, "If"} == OPERATORS


def test_every_operator_is_in_one_family() -> None:
    assert sum(len(family.CONVERTERS) for family in FAMILIES) == len(CONVERTERS)
