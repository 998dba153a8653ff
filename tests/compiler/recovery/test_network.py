"""The interpreter of ONNX in PyTorch: its forward is ONNX Runtime's, its gradients are those of finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

from edgec.errors import UnsupportedModel  # noqa: E402
from edgec.model.load import load  # noqa: E402
from edgec.model.shapes import fix_shapes  # noqa: E402
from edgec.model.signature import inputs_of  # noqa: E402
from edgec.passes.prepare import prepare  # noqa: E402
from edgec.recovery.network import TorchNetwork  # noqa: E402
from edgec.reference.golden import golden_inputs  # noqa: E402
from edgec.reference.session import Reference  # noqa: E402
from tests.support.architectures import ARCHITECTURES  # noqa: E402

KNOWN = sorted(name for name in ARCHITECTURES if name != "recurrent")


def built(name: str) -> ir.Model:
    return prepare(fix_shapes(load(ARCHITECTURES[name]()).model, {}))


def feeds_of(model: ir.Model, seed: int = 0) -> dict[str, Any]:
    return dict(golden_inputs(inputs_of(model), seed))


def furthest(network: TorchNetwork, model: ir.Model, feeds: dict[str, Any]) -> float:
    """Return the largest difference to ONNX Runtime, relative to the range of its output."""
    expected = Reference(model).run(feeds)
    with torch.no_grad():
        found = network.run({name: network.tensor(array) for name, array in feeds.items()})
    return max(float(np.abs(found[n].numpy() - wanted).max() / np.ptp(wanted)) for n, wanted in expected.items())


@pytest.mark.parametrize("name", KNOWN)
def test_forward_is_that_of_onnx_runtime(name: str) -> None:
    model = built(name)
    assert furthest(TorchNetwork(model), model, feeds_of(model)) < 1e-5


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_written_back_unchanged_is_the_same_network(name: str) -> None:
    model = built(name)
    feeds = feeds_of(model)
    for output, wanted in Reference(model).run(feeds).items():
        np.testing.assert_array_equal(Reference(TorchNetwork(model).write()).run(feeds)[output], wanted)


@pytest.mark.parametrize("name", KNOWN)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    network = TorchNetwork(built(name), dtype=torch.float64)
    feeds = {key: network.tensor(array) for key, array in feeds_of(built(name)).items()}

    def loss() -> Any:
        return sum(torch.square(value).mean() for value in network.run(feeds).values())

    leaves = list(network.parameters.values())
    gradients = torch.autograd.grad(loss(), leaves)
    torch.manual_seed(0)
    directions = [torch.randn_like(leaf) * leaf.abs().mean().clamp(min=1e-3) for leaf in leaves]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    step, sides = 1e-6, []
    with torch.no_grad():
        for sign in (1, -2):
            for leaf, direction in zip(leaves, directions, strict=True):
                leaf.add_(sign * step * direction)
            sides.append(float(loss()))
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=2e-3)


def test_an_operator_that_cannot_be_trained_is_named() -> None:
    with pytest.raises(UnsupportedModel, match="LSTM node"):
        TorchNetwork(built("recurrent"))
