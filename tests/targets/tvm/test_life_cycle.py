"""A runner is opened and closed any number of times; it leaves no memory and no threads behind, and survives a fork."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgec
from edgec.artefact.artefact import Artefact
from edgec.errors import BadOption
from tests.support.life_cycle import WAYS, grown, run_in_fork
from tests.support.models import model, random_weights
from tests.support.tvm_artefact import compiled

WEIGHTS = 4 << 20
"""Bytes."""


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """A network with weights whose leak would be seen."""
    network = model("g (float[1, 1024] x) => (float[1, 1024] y) { y = MatMul (x, w) }", random_weights(w=(1024, 1024)))
    return compiled(tmp_path_factory.mktemp("life") / "artefact", "host", network)


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("way", WAYS)
def test_loads_leave_neither_memory_nor_threads(artefact: Artefact, way: str) -> None:
    loads = 24
    size, more_threads = grown(artefact.folder, way, loads)
    assert size < loads * WEIGHTS / 4  # every load that left its weights would add WEIGHTS
    assert more_threads == 0


def test_a_closed_runner_says_so(artefact: Artefact) -> None:
    runner = edgec.load(artefact.folder)
    runner.close()
    runner.close()
    golden = artefact.golden_inputs()
    for call in (lambda: runner.run(golden), lambda: runner.bench(golden, warmup=0, runs=1)):
        with pytest.raises(BadOption, match=r"artefact is closed\nLoad the artefact again"):
            call()


def test_more_threads_than_cpus_are_as_many_as_there_are(artefact: Artefact) -> None:
    before = threads()
    with edgec.load(artefact.folder, threads=100_000) as runner:
        runner.run(artefact.golden_inputs())
        assert threads() - before <= len(os.sched_getaffinity(0)) + 1
    assert artefact.bench(threads=100_000, runs=1).threads == len(os.sched_getaffinity(0))
    with pytest.raises(BadOption, match="threads must be at least 1"):
        artefact.runner(0)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_may_use_it_as_its_parent_does(artefact: Artefact, tmp_path: Path) -> None:
    golden = artefact.golden_inputs()
    with edgec.load(artefact.folder, threads=2) as runner:
        expected = runner.run(golden)["y"]
        for found in (*run_in_fork(runner, artefact.folder, golden, tmp_path), runner.run(golden)["y"]):
            np.testing.assert_array_equal(found, expected)


def test_the_process_ends_at_once_with_runners_open(artefact: Artefact) -> None:
    code = (
        "import sys, edgec; runners = [edgec.load(sys.argv[1], threads=n) for n in (1, 2)];"
        "golden = edgec.Artefact.open(sys.argv[1]).golden_inputs(); [runner.run(golden) for runner in runners]"
    )
    done = subprocess.run([sys.executable, "-c", code, artefact.folder], timeout=60, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
