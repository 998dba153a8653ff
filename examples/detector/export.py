"""Export the trained detector to ONNX with its batch normalization unfolded, and its settings to JSON."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from dataset import CLASSES, SIZE
from model import ANCHORS, STRIDES, Detector
from torch import nn

OPSET = 17
TOLERANCE = 1e-4  # between PyTorch and ONNX Runtime


def export(model: Detector, path: Path) -> None:
    """Write `path` and the JSON next to it; the batch is symbolic, the picture's size is fixed."""
    model = model.eval()
    outputs = [f"head_{stride}" for stride in STRIDES]
    with warnings.catch_warnings():
        # The newer exporter (dynamo=True) folds the batch normalization; this one warns that it is older, and that
        # constant folding could touch trained parameters, which `check` would notice.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, SIZE, SIZE),),
            path,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # EVAL would fold the batch normalization
            do_constant_folding=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in ("image", *outputs)},
        )
    check(model, path)
    path.with_suffix(".json").write_text(_settings(), encoding="utf-8")


def check(model: Detector, path: Path) -> None:
    """Raise unless the file is valid, holds batch normalization and computes what `model` does."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import
    import onnxruntime

    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)
    kept = sum(node.op_type == "BatchNormalization" for node in graph.graph.node)
    expected_count = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    if kept != expected_count:
        raise RuntimeError(f"{path} holds {kept} of {expected_count} batch normalizations: the exporter folded some")
    image = np.random.default_rng(0).random((2, 3, SIZE, SIZE), dtype=np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = model(torch.from_numpy(image))
    for ours, theirs in zip(session.run(None, {"image": image}), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=TOLERANCE, rtol=TOLERANCE)


def _settings() -> str:
    """Return what a decoder needs to know about the network, as JSON."""
    outputs = [
        {"name": f"head_{stride}", "stride": stride, "anchors": anchors}
        for stride, anchors in zip(STRIDES, ANCHORS, strict=True)
    ]
    settings = {
        "input": {"name": "image", "height": SIZE, "width": SIZE, "layout": "NCHW", "colour": "rgb", "scale": 1 / 255},
        "outputs": outputs,
        "classes": CLASSES,
    }
    return json.dumps(settings, indent=2) + "\n"
