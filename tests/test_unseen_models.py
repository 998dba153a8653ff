"""Networks that edgec was not made for, from the file to verified code, and compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgec.api.compile import compile as compile_model
from edgec.compress.quantization import QuantizeOptions, quantize_model
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.passes.prepare import prepare
from edgec.reference.golden import golden_inputs
from edgec.reference.session import Reference
from tests.support.real_models import UNSEEN_MODELS
from tests.support.samples import Drawn

pytest.importorskip("tvm")


@pytest.mark.slow
@pytest.mark.parametrize("name", UNSEEN_MODELS)
def test_compiled_for_this_machine_it_computes_the_same(name: str, tmp_path: Path) -> None:
    real = UNSEEN_MODELS[name]
    compiled = compile_model(real.require(), target="host", output=tmp_path / name, shapes=real.shapes)
    compiled.verify().check()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["captcha_crnn", "chess_pieces", "trueocr_det", "wakeword_embedding"])
def test_on_integers_it_answers_alike(name: str) -> None:
    real = UNSEEN_MODELS[name]
    model = prepare(fix_shapes(load(real.require()).model, real.shapes))
    specs = inputs_of(model)
    result = quantize_model(model, Drawn([golden_inputs(specs, seed) for seed in range(8)]), QuantizeOptions())
    feeds = golden_inputs(specs, 100)
    before, after = Reference(model).run(feeds), Reference(result.quantized.model).run(feeds)
    for output, expected in before.items():
        assert np.linalg.norm(after[output] - expected) < 0.25 * np.linalg.norm(expected), output
