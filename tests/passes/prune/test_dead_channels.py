"""Channels that are known to be dead are removed first, by every criterion, in all blocks of the YOLO detectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from edgec.model.load import load
from edgec.passes.channels.groups import NO_UNIT, Channels, find_groups, readers_of, weights_of
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.layerwise.moments import layer_moments
from edgec.passes.prepare import prepare
from edgec.passes.prune.rank import rank
from edgec.reference.session import Reference
from tests.support.architectures import Net

Block = Callable[[Net, str], str]


def conv(n: Net, x: str, out: int, k: int = 1, **options: int) -> str:
    return n.conv(x, out, k, bn=False, act="Silu", **options)


def bottleneck(n: Net, x: str, shortcut: bool = True) -> str:
    y = conv(n, conv(n, x, n.channels[x], 3), n.channels[x], 3)
    return n.add(x, y) if shortcut else y


def halves(n: Net, x: str) -> list[str]:
    inner = n.channels[x] // 2
    return n.op("Split", x, outputs=2, channels=inner, axis=1, num_outputs=2)


def c3(n: Net, x: str) -> str:
    """YOLOv5: a chain of bottlenecks beside a plain branch."""
    return conv(n, n.concat(bottleneck(n, bottleneck(n, conv(n, x, 8))), conv(n, x, 8)), 16)


def elan(n: Net, x: str) -> str:
    """YOLOv7: both branches and what is made of the second, after every two layers."""
    parts = [conv(n, x, 8), conv(n, x, 8)]
    for _ in range(2):
        parts.append(conv(n, conv(n, parts[-1], 8, 3), 8, 3))
    return conv(n, n.concat(*parts), 16)


def c2f(n: Net, x: str) -> str:
    """YOLOv8: the second half reaches the Concat by itself and again through each shortcut."""
    parts = halves(n, conv(n, x, 16))
    for _ in range(2):
        parts.append(bottleneck(n, parts[-1]))
    return conv(n, n.concat(*parts), 16)


def c2f_twice(n: Net, x: str) -> str:
    """A tensor that reaches the Concat twice beside one that reaches it once."""
    first, second = halves(n, conv(n, x, 16))
    return conv(n, n.concat(first, second, bottleneck(n, second, shortcut=False), second), 16)


def sppf(n: Net, x: str) -> str:
    """YOLOv5 to v12: one tensor and its pooled copies side by side."""
    parts = [conv(n, x, 8)]
    for _ in range(3):
        parts.append(n.pool(parts[-1], 5, 1))
    return conv(n, n.concat(*parts), 16)


def gelan(n: Net, x: str) -> str:
    """YOLOv9: halves of a split, one of them through CSP blocks."""
    parts = halves(n, conv(n, x, 16))
    parts.append(conv(n, c3(n, parts[-1]), 8, 3))
    return conv(n, n.concat(*parts), 16)


def cib(n: Net, x: str) -> str:
    """YOLOv10: depthwise and pointwise layers by turns, with a shortcut."""
    y = conv(n, n.depthwise(x, act="Silu"), 32)
    return n.add(x, n.depthwise(conv(n, n.depthwise(y, act="Silu"), 16), act=None))


def c3k2(n: Net, x: str) -> str:
    """YOLO11: a CSP block inside C2f."""
    first, second = halves(n, conv(n, x, 16))
    inner = conv(n, n.concat(bottleneck(n, conv(n, second, 4)), conv(n, second, 4)), 8)
    return conv(n, n.concat(first, second, inner), 16)


def psa(n: Net, x: str) -> str:
    """YOLO10 to 12: attention over positions and a small MLP, each with a shortcut."""
    first, second = halves(n, conv(n, x, 16))
    flat = n.op("Reshape", n.conv(second, 24, bn=False, act=None), n.const([1, 24, 64], np.int64))
    q, k, v = n.op("Split", flat, outputs=3, channels=8, axis=1, num_outputs=3)
    weights = n.op("Softmax", n.op("MatMul", n.op("Transpose", q, perm=[0, 2, 1]), k), axis=-1)
    mixed = n.op("MatMul", v, n.op("Transpose", weights, perm=[0, 2, 1]))
    second = n.add(second, n.op("Reshape", mixed, n.const([1, 8, 8, 8], np.int64), channels=8))
    second = n.add(second, n.conv(conv(n, second, 16), 8, bn=False, act=None))
    return conv(n, n.concat(first, second), 16)


BLOCKS = {each.__name__: each for each in (c3, elan, c2f, c2f_twice, sppf, gelan, cib, c3k2, psa)}
CRITERIA = ("l0", "l1", "l2", "fpgm", "reconstruction", "obs")


def network(block: Block) -> ir.Model:
    n = Net(size=8)
    return prepare(load(n.model(n.classifier(block(n, conv(n, "image", 16, 3))))).model)


def kill(model: ir.Model, channels: Channels) -> dict[str, set[int]]:
    """Set filters and biases of a third of the units of each group to zero; return these units."""
    rng = np.random.default_rng(0)
    dead = {g.name: set(rng.permutation(g.units)[: g.units // 3].tolist()) for g in channels.groups}
    for group in channels.groups:
        for member in group.members:
            if member.role != "reads":
                array = weights_of(model, member).copy()
                rows = np.isin(member.units, list(dead[group.name])) & (member.units != NO_UNIT)
                np.moveaxis(array, member.axis, 0)[rows] = 0
                model.graph.initializers[member.tensor].const_value = ir.tensor(array, name=member.tensor)
    return dead


@pytest.mark.parametrize("name", BLOCKS)
def test_dead_channels_are_removed_before_any_that_lives(name: str) -> None:
    built = network(BLOCKS[name])
    channels = find_groups(built)
    dead = kill(built, channels)
    assert any(dead.values())
    rng = np.random.default_rng(1)
    feeds = [{"image": rng.standard_normal((1, 3, 8, 8), dtype=np.float32)} for _ in range(48)]
    moments = layer_moments(built, readers_of(channels.groups), feeds)
    wanted = Reference(built).run(feeds[0])
    for criterion in CRITERIA:
        chosen = {}
        for group in channels.groups:
            order = rank(built, group, criterion, moments).order
            first = order[: len(dead[group.name])]
            assert set(first) == dead[group.name], (criterion, group.name)
            chosen[group.name] = (group, first)
        pruned = SliceChannels(PrunePlan.of(chosen))(built.clone()).model
        for output, array in Reference(pruned).run(feeds[0]).items():
            np.testing.assert_allclose(array, wanted[output], rtol=1e-4, atol=1e-5)
