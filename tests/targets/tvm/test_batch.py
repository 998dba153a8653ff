"""Batches: one artefact for a range of them, and networks compiled for a larger one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgec.artefact.artefact import Artefact
from edgec.errors import BadOption
from edgec.reference.session import Reference
from edgec.targets.tvm import run as run_module
from tests.support.models import model, random_weights
from tests.support.tvm_artefact import compiled, edgec_run

TOLERANCE = 1e-5
NETWORK = """
batches (float[N, 3, 20, 20] image, float[N, 8] extra) => (float[N, 8, 10, 10] features, float[N, 4] scores)
{
  c = Conv <pads = [1, 1, 1, 1]> (image, w, b)
  r = Relu (c)
  features = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r)
  g = GlobalAveragePool (features)
  f = Flatten (g)
  sum = Add (f, extra)
  m = MatMul (sum, v)
  scores = Softmax <axis = 1> (m)
}
"""


def network(batch: int = 1) -> ir.Model:
    shapes = {"image": (batch, 3, 20, 20), "extra": (batch, 8)}
    return model(NETWORK, random_weights(w=(8, 3, 3, 3), b=(8,), v=(8, 4)), shapes=shapes)


def feeds(batch: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(batch)
    return {"image": rng.random((batch, 3, 20, 20), np.float32), "extra": rng.random((batch, 8), np.float32)}


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return compiled(tmp_path_factory.mktemp("batch") / "artefact", "host", network(), batch=(1, 4))


@pytest.mark.parametrize("batch", [1, 3, 4])
@pytest.mark.parametrize("in_process", [True, False])
def test_one_artefact_runs_every_batch_of_its_range(
    artefact: Artefact, batch: int, in_process: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_in_process", lambda runtime: in_process)
    outputs = artefact.runner(2).run(feeds(batch))
    for name, expected in Reference(network(batch)).run(feeds(batch)).items():
        np.testing.assert_allclose(outputs[name], expected, atol=TOLERANCE)
    assert len(artefact.runner(1).bench(feeds(batch), warmup=1, runs=2)) == 2


def test_its_own_runner_takes_a_batch_at_once(artefact: Artefact, tmp_path: Path) -> None:
    for name, array in feeds(3).items():
        np.save(tmp_path / f"{name}.npy", array)
    inputs = [f"--input={name}={tmp_path / name}.npy" for name in feeds(3)]
    arguments = [part for item in inputs for part in item.split("=", 1)]
    done = edgec_run(artefact, *arguments, "--output-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    expected = Reference(network(3)).run(feeds(3))
    np.testing.assert_allclose(np.load(tmp_path / "0-features.npy"), expected["features"], atol=TOLERANCE)
    np.testing.assert_allclose(np.load(tmp_path / "1-scores.npy"), expected["scores"], atol=TOLERANCE)


def test_other_batches_are_refused(artefact: Artefact, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"inputs \(image: 5x3x20x20, extra: 5x8\) are not one batch of 1\.\.4"):
        artefact.runner(1).run(feeds(5))
    with pytest.raises(BadOption, match=r"are not one batch"):
        artefact.runner(1).run({"image": feeds(2)["image"], "extra": feeds(3)["extra"]})
    np.save(tmp_path / "image.npy", feeds(5)["image"])
    np.save(tmp_path / "extra.npy", feeds(5)["extra"])
    given = ["--input", f"image={tmp_path}/image.npy", "--input", f"extra={tmp_path}/extra.npy"]
    done = edgec_run(artefact, *given)
    assert done.returncode == 2
    assert "image is float32[1x3x20x20]" in done.stderr


def test_a_network_without_a_batch_is_refused(tmp_path: Path) -> None:
    text = "g (float[1, 4] x) => (float[4] y) <int64[1] s = {4}> { y = Reshape (x, s) }"
    with pytest.raises(BadOption, match=r"output y: float32\[4\] cannot have a batch of 1\.\.4"):
        compiled(tmp_path / "out", "host", model(text), batch=(1, 4))
    with pytest.raises(BadOption, match=r"a batch of 2\.\.4 is not supported: on CPU boards the smallest batch is 1"):
        compiled(tmp_path / "out", "host", network(2), batch=(2, 4))


@pytest.mark.parametrize("batch", [2, 5])
def test_a_larger_fixed_batch(batch: int, tmp_path: Path) -> None:
    artefact = compiled(tmp_path / "out", "host", network(batch))
    assert artefact.verify().comparison.within(TOLERANCE)
    assert edgec_run(artefact, "--self-test").returncode == 0
