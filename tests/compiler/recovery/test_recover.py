"""Recovery by gradients: what pruning and few bits lost comes back, in the same file, and never the other way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

import edgec
from edgec.cli import app
from edgec.compress.quantization import quantize_model
from edgec.data.samples import Sample
from edgec.errors import BadOption, MissingDependency, UnsupportedModel
from edgec.model.graph import constant
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prepare import prepare
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.pruning import PruneOptions
from edgec.quantizing import QuantizeOptions
from tests.support.architectures import ARCHITECTURES

RNG = np.random.default_rng(0)
PICTURES = RNG.standard_normal((20, 3, 32, 32), dtype=np.float32)


def test_without_pytorch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgec.recovery import pytorch

    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(pytorch, "import_module", absent)
    with pytest.raises(MissingDependency, match="PyTorch") as raised:
        pytorch.pytorch()
    assert "pip install 'torch" in str(raised.value)


torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from edgec.recovering import RecoverOptions  # noqa: E402
from edgec.recovery.network import TorchNetwork  # noqa: E402
from edgec.recovery.recover import Recovered, recover_model  # noqa: E402


def original(name: str = "mobilenet_v1") -> ir.Model:
    return prepare(fix_shapes(load(ARCHITECTURES[name]()).model, {}))


def samples() -> list[Sample]:
    return [Sample(str(number), {"image": picture[None]}) for number, picture in enumerate(PICTURES)]


def pruned(model: ir.Model) -> ir.Model:
    ranked = RankedChannels.of(model, PruneOptions(ratio=0.3, criterion="l1", repair=False), None)
    plan = ranked.plan({group.name: 0.3 for group in ranked.groups}, 1)
    return SliceChannels(plan)(model.clone()).model


def quantized(model: ir.Model, **options: Any) -> ir.Model:
    return quantize_model(model, samples(), QuantizeOptions(repair=False, **options)).quantized.model


def recovered(model: ir.Model, before: ir.Model, epochs: int = 6, rate: float = 1e-2) -> Recovered:
    return recover_model(model, before, samples(), RecoverOptions(epochs=epochs, batch=4, device="cpu", rate=rate))


def test_what_pruning_lost_comes_back() -> None:
    whole = original()
    result = recovered(pruned(whole), whole)
    assert result.after < 0.7 * result.before


@pytest.mark.parametrize(
    "options",
    [
        {"weight_bits": 4},
        {"style": "tensorrt"},
        {"weight_bits": 2, "activations": False},
        {"weight_bits": 4, "codec": "kmeans", "activations": False},
        {"weight_bits": 4, "scheme": "power-of-two", "calibrator": "fixed-point"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_what_few_bits_lost_comes_back_in_the_same_form(options: dict[str, Any]) -> None:
    whole = original()
    small = quantized(whole, **options)
    result = recovered(small, whole, rate=1e-2 if "weight_bits" in options else 5e-4)
    assert result.after < 0.9 * result.before
    assert [node.op_type for node in result.model.graph] == [node.op_type for node in small.graph]
    for name, value in small.graph.initializers.items():
        written = result.model.graph.initializers[name]
        assert (written.dtype, written.shape) == (value.dtype, value.shape)
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)


def test_steps_that_are_powers_of_two_stay_what_they_are() -> None:
    whole = original()
    small = quantized(whole, weight_bits=8, scheme="power-of-two", calibrator="fixed-point")
    result = recovered(small, whole, epochs=1).model
    scales = [name for name in small.graph.initializers if name.endswith("_scale")]
    kept = [name for name in scales if not name.endswith("bias_dequantized_scale")]
    for name in kept:
        old, new = (constant(model.graph.initializers[name]) for model in (small, result))
        np.testing.assert_array_equal(old, new)


def test_weights_of_seven_bits_stay_within_seven() -> None:
    small = quantized(original(), weight_bits=7)
    network = TorchNetwork(small)
    with torch.no_grad():
        for parameter in network.parameters.values():
            parameter.mul_(3)
    arrays = [constant(value) for value in network.write().graph.initializers.values()]
    assert max(np.abs(each.astype(int)).max() for each in arrays if each is not None and each.dtype == np.int8) <= 64


def test_forward_of_a_quantized_network_is_that_of_onnx_runtime() -> None:
    from edgec.reference.session import Reference

    small = quantized(original(), scheme="power-of-two", calibrator="fixed-point")
    network, feeds = TorchNetwork(small), samples()[0].inputs
    with torch.no_grad():
        found = network.run({name: network.tensor(array) for name, array in feeds.items()})
    for name, wanted in Reference(small).run(feeds).items():
        np.testing.assert_allclose(found[name].numpy(), wanted, atol=1e-5 * np.ptp(wanted))


def test_nothing_becomes_worse() -> None:
    whole = original()
    result = recovered(whole, whole, epochs=1)
    assert result.after <= result.before < 1e-9
    assert result.model is whole


def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = original()
    small = pruned(whole)
    options = RecoverOptions(epochs=3, batch=4, device="cpu")
    at_once = recover_model(small, whole, samples(), options)

    class Stopped(Exception):
        pass

    from edgec.progress import Progress, Reporter

    def stop(progress: Progress) -> None:
        if progress.startswith("epoch 3"):
            raise Stopped

    kept = tmp_path / "state.npz"
    with pytest.raises(Stopped):
        recover_model(small, whole, samples(), options, report=Reporter(stop), kept=kept)
    continued = recover_model(small, whole, samples(), options, kept=kept)
    assert continued.after == at_once.after
    kept.write_bytes(b"something else")
    with pytest.raises(BadOption, match="not a checkpoint"):
        recover_model(small, whole, samples(), options, kept=kept)


def test_a_network_of_other_outputs_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="cannot be compared"):
        recovered(original("yolov8"), original())


def test_the_command(tmp_path: Path) -> None:
    whole = original()
    edgec.recover  # noqa: B018  (the function is public)
    for name, model in (("net", whole), ("small", pruned(whole))):
        onnx.save(ir.to_proto(model), tmp_path / f"{name}.onnx")
    np.save(tmp_path / "data.npy", PICTURES)
    files = {name: str(tmp_path / name) for name in ("small.onnx", "net.onnx", "data.npy", "out.onnx")}
    arguments = ["recover", files["small.onnx"], "--original", files["net.onnx"], "--data", files["data.npy"]]
    result = CliRunner().invoke(app, [*arguments, "--epochs", "2", "-o", files["out.onnx"], "--quiet"])
    assert result.exception is None, result.exception
    assert "held out" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npy", "net.onnx", "out.onnx", "small.onnx"]
    wrong = CliRunner().invoke(app, [*arguments, "-o", files["net.onnx"]])
    assert "it is the model itself" in str(wrong.exception)
