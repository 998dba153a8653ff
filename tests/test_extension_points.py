"""A package of its own adds one of each kind by entry points, without a change here."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgec import registry
from edgec.compress.quantization import quantize_model
from edgec.data.decoders.read import read_decoder
from edgec.data.metrics.base import MetricContext, make_metric
from edgec.data.samples import Sample
from edgec.passes.channels import operators
from edgec.passes.channels.groups import find_groups
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prune.rank import rank
from edgec.quantizing import QuantizeOptions
from edgec.targets.board import load_board
from tests.passes.quantize_support import pictures, small
from tests.support.models import model, random_weights
from tests.support.real_models import ROOT

MODULE = '''
import numpy as np
from edgec.data.decoders.base import Decoder
from edgec.data.metrics.base import MetricResult
from edgec.model.edit import substitute
from edgec.passes.canonicalize.rule import rule
from edgec.passes.channels.operator import ChannelOperator
from edgec.passes.quantize.calibrators.base import HistogramCalibrator
from edgec.passes.quantize.codecs.base import Levels


class Half(HistogramCalibrator):
    """Half of the range."""

    name = "half"

    def choose(self):
        return self.histogram.low / 2, self.histogram.high / 2


def three(weights, bits, power_of_two):
    """-1, 0 and 1."""
    return Levels(np.array([-1.0, 0.0, 1.0]), 2)


def last(filters):
    """Channels go from the last to the first."""
    return -np.arange(len(filters), dtype=float)


class Largest(Decoder):
    """The place of the largest element."""

    kind = "text"
    sides: tuple[int, ...] = ()

    def __call__(self, outputs, sample):
        return str(next(iter(outputs.values())).argmax())


class Count:
    """The number of samples."""

    def __init__(self, context):
        self.count = 0

    def update(self, outputs, sample):
        self.count += 1

    def result(self):
        return MetricResult(self.count, True)


@rule("Elu")
def relu_of_elu(node):
    """An Elu without a negative side is a Relu."""
    if node.attributes.get_float("alpha", 1.0) != 0:
        return None
    substitute(node, "Relu", node.inputs)
    return "an Elu became a Relu"


def follow(found, node):
    found.give(node, list(found.axes(node, 0)))


double = ChannelOperator(("Double",), follow, domain="acme")
'''
ENTRY_POINTS = """
[edgec.calibrators]
half = acme_parts:Half
[edgec.channel_operators]
double = acme_parts:double
[edgec.codecs]
three = acme_parts:three
[edgec.criteria]
last = acme_parts:last
[edgec.decoders]
largest = acme_parts:Largest
[edgec.metrics]
count = acme_parts:Count
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the package as far as Python's import system is concerned."""
    (tmp_path / "acme_parts.py").write_text(MODULE)
    (tmp_path / "acme_parts-1.0.dist-info").mkdir()
    (tmp_path / "acme_parts-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-parts\n")
    (tmp_path / "acme_parts-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    caches = (registry._entries, operators._operators)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


def test_a_calibrator_and_a_codec() -> None:
    whole, half = (
        quantize_model(small(), pictures(4), QuantizeOptions(calibrator=name, equalize=False)).table
        for name in ("minmax", "half")
    )
    assert whole is not None
    assert half is not None
    assert all(half.tensors[name].high == each.high / 2 for name, each in whole.tensors.items())
    coded = quantize_model(small(), pictures(4), QuantizeOptions(codec="three", activations=False)).quantized
    codes = next(iter(coded.weights.codes.values()))
    assert len(codes.levels.levels) == 3


def test_a_criterion() -> None:
    network = model(
        "g (float[1, 3, 8] x) => (float[1, 5, 8] y) { a = Conv (x, v)  y = Conv (a, w) }",
        random_weights(v=(4, 3, 1), w=(5, 4, 1)),
        opset=18,
    )
    assert rank(network, find_groups(network).groups[0], "last").order == (3, 2, 1, 0)


def test_a_decoder_and_a_metric() -> None:
    decoder = read_decoder("largest,sides=3/4")
    assert decoder.model_dump() == {"classes": (), "sides": (3, 4)}
    assert decoder({"y": np.array([0, 2, 1])}, Sample("a", {})) == "1"
    metric = make_metric("count", MetricContext())
    metric.update({}, Sample("a", {}))
    assert metric.result().value == 1


def test_a_rule_of_canonicalization(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file, and a line in the list of rules."""
    from acme_parts import relu_of_elu

    module = importlib.import_module("edgec.passes.canonicalize.canonicalize")
    monkeypatch.setattr(module, "RULES", (*module.RULES, relu_of_elu))
    network = model("g (float[4] x) => (float[4] y) { y = Elu <alpha = 0.0> (x) }", opset=18)
    assert [node.op_type for node in module.Canonicalize()(network).model.graph] == ["Relu"]


def test_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file, which exports a rule, and a line in the order of the rules."""
    pytest.importorskip("tvm")
    from tvm import relax

    from edgec.targets.tvm.schedules import rules
    from edgec.targets.tvm.schedules.plain import matmul
    from tests.support.lowered import check

    mine = replace(matmul.RULE, name="acme_matmul", tuning=None)
    monkeypatch.setattr(rules, "RULES", (mine, *rules.RULES))

    def build(x, rng):
        return relax.op.matmul(x, relax.const(rng.standard_normal((24, 16)).astype("float32")))

    assert check(build, [(7, 24)]).counts() == {"acme_matmul": 1}


def test_every_schedule_that_has_a_rule_is_in_the_order() -> None:
    """A file that exports a rule and has no line would never be asked; layouts are told by the rules alone."""
    pytest.importorskip("tvm")
    from edgec.targets.tvm.schedules import rules

    folder = ROOT / "targets" / "tvm" / "schedules"
    files = {
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in folder.rglob("*.py")
        if "\nRULE = " in path.read_text()
    }
    assert files == set(rules.ORDER)
    assert len({rule.name for rule in rules.RULES}) == len(rules.ORDER)


def test_a_board(tmp_path: Path) -> None:
    """A file of data, by its path or among those of edgec."""
    board = ROOT / "targets" / "boards" / "rpi4.toml"
    (tmp_path / "mine.toml").write_text(board.read_text().replace('name = "rpi4"', 'name = "mine"'))
    assert load_board(str(tmp_path / "mine.toml")).name == "mine"


def test_the_table_in_contributing_names_files_that_are_there() -> None:
    """Every place that it names is a folder, a file, or a pattern in a folder that is there."""
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Rules")[0]
    places = re.findall(r"`((?:compiler|passes|targets|tests|docs)/[^`]*)`", table)
    assert len(places) > 20
    for place in places:
        assert (ROOT / place.split("<")[0].rpartition("/")[0]).is_dir(), place
        assert "<" in place or (ROOT / place).exists(), place


def test_an_operator_whose_channels_are_followed() -> None:
    network = model(
        "g (float[1, 3, 8] x) => (float[1, 5, 8] y) { a = Conv (x, v)  b = Relu (a)  y = Conv (b, w) }",
        random_weights(v=(4, 3, 1), w=(5, 4, 1)),
        opset=18,
    )
    relu = network.graph[1]
    relu.domain, relu.op_type = "acme", "Double"
    network.opset_imports["acme"] = 1
    (group,) = find_groups(network).groups
    assert group.units == 4
    assert operators.operator_of(ir.node("Double", [], domain="elsewhere")) is None
    pruned = SliceChannels(PrunePlan.of({group.name: (group, [1])}))(network).model
    assert [node.outputs[0].shape for node in pruned.graph] == [(1, 3, 8), (1, 3, 8), (1, 5, 8)]
