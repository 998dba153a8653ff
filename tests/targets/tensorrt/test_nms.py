"""NonMaxSuppression as TensorRT's plugin: the settings carried over keep the boxes that ONNX Runtime keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgec.errors import UnsupportedModel
from edgec.model.graph import attribute
from edgec.reference.session import Reference
from edgec.targets.tensorrt.nms import efficient_nms, plugin_result, settings_of
from tests.support.models import model

COUNT, CLASSES = 12, 3


def network(centre: int = 0, limit: int = COUNT, iou: float = 0.5, score: float = 0.2) -> ir.Model:
    text = f"""
    net (float[1, {COUNT}, 4] boxes, float[1, {CLASSES}, {COUNT}] scores) => (float[1, {COUNT}, 4] b, int64[n, 3] i) {{
      b = Relu (boxes)
      i = NonMaxSuppression <center_point_box = {centre}> (boxes, scores, limit, iou, score)
    }}"""
    constants: dict[str, Any] = {
        "limit": np.array([limit]), "iou": np.array([iou], np.float32), "score": np.array([score], np.float32)
    }  # fmt: skip
    return model(text, constants, opset=13)


def feeds(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 8, (1, COUNT, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 6, (1, COUNT, 2))], axis=2).astype(np.float32)
    return {
        "boxes": boxes,
        "scores": rng.permutation(CLASSES * COUNT).reshape(1, CLASSES, COUNT).astype(np.float32) / 36,
    }


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), centre=st.booleans(), iou=st.sampled_from([0.1, 0.4, 0.7]))
def test_the_plugins_settings_keep_the_same_boxes(seed: int, centre: bool, iou: float) -> None:
    made, given_ = network(int(centre), iou=iou), feeds(seed)
    selected = Reference(made).run(given_)["i"]
    node = next(node for node in made.graph if node.op_type == "NonMaxSuppression")
    scores = given_["scores"].transpose(0, 2, 1)
    numbers, boxes, kept, classes = plugin_result(given_["boxes"], scores, settings_of(node))
    expected = {(int(kind), float(given_["scores"][0, kind, box])) for _, kind, box in selected}
    count = int(numbers[0, 0])
    assert {
        (int(kind), float(score)) for kind, score in zip(classes[0, :count], kept[0, :count], strict=True)
    } == expected
    assert (np.diff(kept[0, :count]) <= 0).all()
    assert not boxes[0, count:].any()


def test_the_plugin_takes_its_place() -> None:
    changed = efficient_nms(network(centre=1, limit=5))
    node = next(node for node in changed.graph if node.op_type == "EfficientNMS_TRT")
    assert (node.domain, attribute(node, "box_coding"), attribute(node, "max_output_boxes")) == ("TRT", 1, 15)
    assert [(value.name, tuple(value.shape or ())) for value in changed.graph.outputs] == [
        ("b", (1, 12, 4)),
        ("num_detections", (1, 1)),
        ("detection_boxes", (1, 15, 4)),
        ("detection_scores", (1, 15)),
        ("detection_classes", (1, 15)),
    ]
    assert "NonMaxSuppression" not in {node.op_type for node in changed.graph}


def test_a_model_without_it_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="has 0 NonMaxSuppression"):
        efficient_nms(model("net (float[1] x) => (float[1] y) { y = Relu (x) }"))
