"""What rules say of themselves."""

from __future__ import annotations

import pytest

pytest.importorskip("tvm")

from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Rule


def test_only_packed_regions_take_in_elementwise_work_unless_the_rule_says_so() -> None:
    shape = (1, 8, 4, 4)
    anchor = Node("input", [], shape, "float32", order=0, packed=True)
    relu = Node("relax.nn.relu", [anchor], shape, "float32", order=1)
    other = Node("relax.nn.relu", [anchor], (1, 8, 4, 2), "float32", order=1)

    def rule(layout, fits=None):
        return Rule("acme", layout, lambda _node, _cpu: True, lambda _region, _cpu: None, fits)

    assert rule("packed").takes_in(anchor, relu) and not rule("packed").takes_in(anchor, other)
    assert not rule("plain").takes_in(anchor, relu)
    assert rule("plain", lambda _anchor, node: node is relu).takes_in(anchor, relu)
