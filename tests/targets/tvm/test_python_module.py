"""edgec_model.py, which runs an artefact with numpy alone, in a process that knows neither edgec nor TVM."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgec.artefact.artefact import Artefact
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from tests.support import data_sizes
from tests.support.models import model, random_weights
from tests.support.tvm_artefact import compiled

TOLERANCE = 1e-5
SOURCE = Path(__file__).parents[3] / "targets" / "tvm" / "runner" / "edgec_model.py"
NETWORK = """net (float[N, 3, 20, 20] image, float[N, 8] extra) => (float[N, 8, 20, 20] features, float[N, 8] sum)
  { c = Conv <pads = [1, 1, 1, 1]> (image, w)  features = Relu (c)  g = GlobalAveragePool (features)
    f = Flatten (g)  sum = Add (f, extra) }"""
PACKAGES = Path(np.__file__).parents[1]
HEAD = f"""
import sys
sys.path.append({str(PACKAGES)!r})
sys.path.insert(0, "artefact/python")
import edgec_model
import numpy as np
feeds = dict(np.load("feeds.npz"))
"""
RUN = """
with edgec_model.Model() as model:
    np.savez("found.npz", **model.run(feeds))
others = {"edgec", "tvm", "tvm_ffi", "onnxruntime"} & set(sys.modules)
assert not others, others
"""


def network(batch: int = 1) -> Any:
    return model(NETWORK, random_weights(w=(8, 3, 3, 3)), shapes={"image": (batch, 3, 20, 20), "extra": (batch, 8)})


def feeds_of(batch: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(batch)
    return {"image": rng.random((batch, 3, 20, 20), np.float32), "extra": rng.random((batch, 8), np.float32)}


def python(folder: Path, code: str, feeds: Mapping[str, np.ndarray]) -> subprocess.CompletedProcess[str]:
    np.savez(folder / "feeds.npz", **feeds)
    return subprocess.run(
        [sys.executable, "-S", "-c", HEAD + code], cwd=folder, capture_output=True, text=True, check=False
    )


def run(folder: Path, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    done = python(folder, RUN, feeds)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "found.npz"))


@pytest.fixture(scope="module")
def batched(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return compiled(tmp_path_factory.mktemp("batch") / "artefact", "host", network(), batch=(1, 4))


@pytest.mark.parametrize("batch", [1, 3])
def test_it_gives_the_results_of_the_reference(batched: Artefact, batch: int) -> None:
    feeds = feeds_of(batch)
    found = run(batched.folder.parent, feeds)
    assert compare(Reference(network(batch)).run(feeds), found).within(TOLERANCE)


def test_outputs_come_in_their_true_sizes(tmp_path: Path) -> None:
    sized = data_sizes.network("rows and their places")
    compiled(tmp_path / "artefact", "host", sized)
    for feeds in data_sizes.samples(sized):
        assert compare(Reference(sized).run(feeds), run(tmp_path, feeds)).within(TOLERANCE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("del feeds['extra']", "input extra: float32 [1, 8] is missing"),
        ("feeds['more'] = feeds['extra']", "there is no input 'more'; inputs: image: float32 [1, 3, 20, 20], extra"),
        ("feeds['image'] = feeds['image'].astype('f8')", "received float64 [1, 3, 20, 20]"),
        ("feeds['image'] = feeds['image'].transpose(0, 2, 3, 1)", "received float32 [1, 20, 20, 3]"),
        ("feeds['image'] = feeds['image'].repeat(5, 0)", "(batch up to 4) received float32 [5, 3, 20, 20]"),
        ("feeds['image'] = feeds['image'].repeat(2, 0)", "the inputs have different batches: [1, 2]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(batched: Artefact, change: str, message: str) -> None:
    done = python(batched.folder.parent, f"{change}\nedgec_model.Model().run(feeds)", feeds_of(1))
    assert f"edgec_model.Error: {message}" in done.stderr or message in done.stderr.splitlines()[-1]
    assert done.returncode == 1


def test_it_may_be_called_from_several_threads(batched: Artefact) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
model = edgec_model.Model(threads=2)
first = model.run(feeds)
with ThreadPoolExecutor(4) as pool:
    for each in pool.map(lambda _: model.run(feeds), range(20)):
        assert all(np.array_equal(each[name], first[name]) for name in first)
import os
assert len(os.sched_getaffinity(0)) == len(os.sched_getaffinity(os.getppid()))  # this thread is not bound to a core
model.close()
try:
    model.run(feeds)
except edgec_model.Error as error:
    assert str(error) == "the model was closed"
else:
    raise AssertionError
"""
    done = python(batched.folder.parent, code, feeds_of(1))
    assert done.returncode == 0, done.stderr


def test_an_altered_artefact_is_refused(tmp_path: Path) -> None:
    artefact = compiled(tmp_path / "artefact", "host", network())
    with (artefact.folder / "model.so").open("r+b") as stream:
        stream.seek(200)
        stream.write(b"x")
    done = python(tmp_path, "edgec_model.Model()", feeds_of(1))
    assert "model.so was altered or damaged: copy the whole folder again" in done.stderr
    assert done.returncode == 1


def test_code_for_another_cpu_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "artefact" / "python").mkdir(parents=True)
    (tmp_path / "artefact" / "lib").mkdir()
    (tmp_path / "artefact" / "python" / "edgec_model.py").write_bytes(SOURCE.read_bytes())
    (tmp_path / "artefact" / "lib" / "libedgec.so").write_bytes(b"\x7fELF of another machine")
    done = python(tmp_path, "edgec_model.Model()", feeds_of(1))
    assert "artefact cannot be loaded on this machine" in done.stderr.splitlines()[-1]


def test_old_pythons_can_read_it() -> None:
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))
