"""Layer by layer: a faulty layer is told where it is, and roundings of the layers before it are not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgec.artefact.verification import Verification
from edgec.errors import VerificationFailed
from edgec.model.signature import inputs_of
from edgec.profile import Arithmetic
from edgec.reference.compare import Comparison
from edgec.reference.golden import golden_samples
from edgec.reference.layerwise import Layers
from edgec.reference.noise import perturbed
from edgec.reference.session import Reference
from edgec.reference.sketch import sketch
from tests.support.models import model, random_weights

INTEGERS = Arithmetic(2e-2, 5e-7, exact=True, layer=2e-3)
NETWORK = """
g (float[1, 3, 16, 16] x) => (float[1, 5] y) <float s = {0.02}, uint8 z = {128}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, u)  q = QuantizeLinear (a, s, z)  b = DequantizeLinear (q, s, z)
  c = Conv (b, v)  d = GlobalAveragePool (c)  y = Flatten (d) }
"""
REST = """
g (uint8[1, 64, 16, 16] q) => (float[1, 5] y) <float s = {0.02}, uint8 z = {128}>
{ b = DequantizeLinear (q, s, z)  c = Conv (b, v)  d = GlobalAveragePool (c)  y = Flatten (d) }
"""
WEIGHTS = {name: array / 4 for name, array in random_weights(u=(64, 3, 3, 3), v=(5, 64, 3, 3)).items()}
INNER = ("q", "c")


def network(**weights: np.ndarray) -> ir.Model:
    return model(NETWORK, WEIGHTS | weights, opset=18)


def layers_of(computed: ir.Model) -> Layers:
    """Return the comparison of `computed`, as if it had been compiled, with the network."""
    layers, reference = Layers(network(), INTEGERS), Reference(computed, INNER)
    for feeds in golden_samples(inputs_of(network()), 0):
        run = reference.run(feeds)
        layers.add(feeds, {"q": run["q"].astype(np.int32), "c": run["c"]}, {"y": run["y"]})
    return layers


def halved(weights: np.ndarray, scale: float = 0.5) -> np.ndarray:
    changed = weights.copy()
    changed[1] *= np.float32(scale)
    return changed


def test_the_network_itself_and_its_roundings_are_right() -> None:
    found = layers_of(network()).comparison
    assert [each.name for each in found.outputs] == ["q", "c", "y"]
    assert {each.max_abs for each in found.outputs} == {0.0}
    assert not layers_of(perturbed(network(), 5e-7, seed=3)).wrong(INTEGERS.tolerance).outputs


@pytest.mark.parametrize(("weights", "layer"), [("u", "q"), ("v", "c")])
def test_one_filter_of_a_layer_is_told_there_alone(weights: str, layer: str) -> None:
    layers = layers_of(network(**{weights: halved(WEIGHTS[weights], 0.95)}))
    assert [each.name for each in layers.wrong(INTEGERS.tolerance).outputs] == [layer]
    assert {each.name for each in layers.comparison.outputs if each.max_abs > 1e-5} == {layer}


@pytest.mark.parametrize(("ties", "wrong"), [(2, []), (40, ["q"])])
def test_single_ties_of_a_rounding_are_no_fault(ties: int, wrong: list[str]) -> None:
    layers, reference = Layers(network(), INTEGERS), Reference(network(), INNER)
    for feeds in golden_samples(inputs_of(network()), 0):
        q = reference.run(feeds)["q"].astype(np.int32)
        places = sketch(np.arange(q.size).reshape(q.shape)).astype(int)
        q.reshape(-1)[places[:ties]] += 1
        c = Reference(model(REST, WEIGHTS, opset=18), ["c"]).run({"q": q.astype(np.uint8)})
        layers.add(feeds, {"q": q, "c": c["c"]}, {"y": c["y"]})
    assert [each.name for each in layers.wrong(INTEGERS.tolerance).outputs] == wrong


def test_a_wrong_layer_fails_the_verification_and_is_named() -> None:
    wrong = layers_of(network(u=halved(WEIGHTS["u"]))).wrong(INTEGERS.tolerance)
    with pytest.raises(VerificationFailed, match=r"^the layer that computes q: max abs error"):
        Verification("here", INTEGERS.tolerance, Comparison(()), wrong_layers=wrong).check()
