"""Networks of torchvision, timm and ultralytics as PyTorch exports them, with random weights: the exports of zoo.toml.

    pip install torch torchvision timm ultralytics onnx onnxscript     (in an environment of its own)
    python bench/zoo_exports.py [--cache FOLDER] [NETWORK ...]

Nothing is downloaded. Weights are drawn from a seed with variance 2 / fan-in (He et al., 2015), scales near 1, and the
statistics of batch norms are those of a few random pictures, so that values keep their size through the network.
"""

from __future__ import annotations

import argparse
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

OPSET = 17
SEED = 0
SIZE = 224
CLASSIFIERS = {
    "torchvision": (
        "mobilenet_v3_small",
        "shufflenet_v2_x1_0",
        "efficientnet_b0",
        "mnasnet0_5",
        "regnet_y_400mf",
        "convnext_tiny",
        "swin_t",
        "vit_b_16",
        "maxvit_t",
        "googlenet",
    ),
    "timm": (
        "mobilevit_s",
        "mobilenetv4_conv_small",
        "efficientformer_l1",
        "levit_128s",
        "ghostnet_100",
        "hrnet_w18_small",
        "edgenext_x_small",
        "repvit_m0_9",
        "fastvit_t8",
        "pvt_v2_b0",
        "xcit_nano_12_p16_224",
        "mixer_s32_224",
        "res2net50_14w_8s",
        "skresnet18",
        "tf_efficientnetv2_b0",
        "deit_tiny_patch16_224",
    ),
}
SEGMENTERS = ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50")
DETECTORS = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": ("boxes", "scores", "labels"),
    "ssdlite320_mobilenet_v3_large": ("boxes", "scores", "labels"),
    "retinanet_resnet50_fpn_v2": ("boxes", "scores", "labels"),
    "fcos_resnet50_fpn": ("boxes", "scores", "labels"),
    "maskrcnn_resnet50_fpn": ("boxes", "scores", "labels", "masks"),
    "keypointrcnn_resnet50_fpn": ("boxes", "scores", "labels", "keypoints"),
}
ULTRALYTICS = {
    "yolov5n": ("yolov5n.yaml", {}),
    "yolov8n": ("yolov8n.yaml", {}),
    "yolov8n_nms": ("yolov8n.yaml", {"nms": True}),
    "yolov10n": ("yolov10n.yaml", {}),
    "yolo11n": ("yolo11n.yaml", {}),
    "yolo11n_seg": ("yolo11n-seg.yaml", {}),
    "yolo11n_pose": ("yolo11n-pose.yaml", {}),
    "yolo11n_obb": ("yolo11n-obb.yaml", {}),
    "yolo12n": ("yolo12n.yaml", {}),
    "rtdetr_l": ("rtdetr-l.yaml", {}),
}


def lively(model: nn.Module, size: int) -> nn.Module:
    """Draw the weights of `model` anew, let its batch norms see a few pictures, and return it."""
    generator = torch.Generator().manual_seed(SEED)
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            spread = (2 / parameter[0].numel()) ** 0.5 if parameter.ndim > 2 else parameter[0].numel() ** -0.5
            parameter.data = torch.randn(parameter.shape, generator=generator) * spread
        else:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    norms = [
        module
        for module in model.modules()
        if type(module).__name__.endswith("Norm") or "BatchNorm" in repr(type(module))
    ]
    for module in norms:
        if getattr(module, "weight", None) is not None:
            module.weight.data = torch.rand(module.weight.shape, generator=generator) * 0.5 + 0.75
    model.eval()
    learning = [module for module in norms if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for module in learning:
        module.momentum = None
        module.train()
    with torch.no_grad():
        model(pictures(8, size, generator))
    return model.eval()


def pictures(count: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Return random pictures with large and small structures, of differing colours, as networks are fed them."""
    made = torch.randn(count, 3, 1, 1, generator=generator)
    for cells in (4, 16, 64):
        noise = torch.randn(count, 3, cells, cells, generator=generator)
        made = made + 0.6 * nn.functional.interpolate(noise, size=(size, size), mode="bicubic")
    return made


def export(model: nn.Module, size: int, path: Path, outputs: tuple[str, ...] = (), *, dynamo: bool = False) -> None:
    """Write `model` as exported for one picture of size x size."""
    picture = pictures(1, size, torch.Generator().manual_seed(1))
    names: dict[str, Any] = {"input_names": ["image"], "output_names": list(outputs) or None}
    if dynamo:
        torch.onnx.export(model, (picture,), str(path), dynamo=True, external_data=False, opset_version=18, **names)
    else:
        torch.onnx.export(model, (picture,), str(path), dynamo=False, opset_version=OPSET, **names)


class Answers(nn.Module):
    """A network of torchvision whose answers are dictionaries, as one that gives tensors."""

    def __init__(self, network: nn.Module, names: tuple[str, ...], *, detector: bool) -> None:
        super().__init__()
        self.network, self.names, self.detector = network, names, detector

    def forward(self, pictures: torch.Tensor) -> Any:
        """Return the tensors by name, of the first picture."""
        answers = self.network(list(pictures) if self.detector else pictures)
        if isinstance(answers, tuple):
            answers = answers[1]
        found = answers[0] if self.detector else answers
        return tuple(found[name] for name in self.names)


def makers() -> dict[str, Callable[[Path], None]]:
    """Return, by the name of the file, what writes it."""
    made: dict[str, Callable[[Path], None]] = {}
    for name in CLASSIFIERS["torchvision"]:
        made[f"torchvision_{name}"] = lambda path, name=name: _torchvision(name, path)
    made["torchvision_mobilenet_v2_dynamo"] = lambda path: _torchvision("mobilenet_v2", path, dynamo=True)
    for name in CLASSIFIERS["timm"]:
        made[f"timm_{name}"] = lambda path, name=name: _timm(name, path)
    for name in SEGMENTERS:
        made[f"torchvision_{name}"] = lambda path, name=name: _segmenter(name, path)
    for name, outputs in DETECTORS.items():
        made[f"torchvision_{name}"] = lambda path, name=name, outputs=outputs: _detector(name, outputs, path)
    for name, (record, options) in ULTRALYTICS.items():
        made[f"ultralytics_{name}"] = lambda path, record=record, options=options: _ultralytics(record, options, path)
    return made


def _torchvision(name: str, path: Path, *, dynamo: bool = False) -> None:
    import torchvision  # noqa: PLC0415

    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model = getattr(torchvision.models, name)(weights=None, **options)
    export(lively(model, SIZE), SIZE, path, dynamo=dynamo)


def _timm(name: str, path: Path) -> None:
    import timm  # noqa: PLC0415

    model = timm.create_model(name, pretrained=False, exportable=True)
    export(lively(model, SIZE), SIZE, path)


def _segmenter(name: str, path: Path) -> None:
    import torchvision  # noqa: PLC0415

    made = getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None, num_classes=21)
    export(Answers(lively(made, 320), ("out",), detector=False), 320, path, ("out",))


def _detector(name: str, outputs: tuple[str, ...], path: Path) -> None:
    import torchvision  # noqa: PLC0415

    options = {} if "320" in name else {"min_size": 320, "max_size": 320}
    made = getattr(torchvision.models.detection, name)(weights=None, weights_backbone=None, **options)
    export(Answers(lively(made, 320), outputs, detector=True), 320, path, outputs)


def _ultralytics(record: str, options: dict[str, Any], path: Path) -> None:
    import ultralytics  # noqa: PLC0415

    kind = ultralytics.RTDETR if "rtdetr" in record else ultralytics.YOLO
    network = kind(record)
    size = 640 if "rtdetr" in record else 320
    lively(network.model, size)
    with tempfile.TemporaryDirectory() as folder:
        network.ckpt_path = str(Path(folder) / "network.pt")
        network.model.pt_path = network.ckpt_path
        written = network.export(format="onnx", imgsz=size, opset=OPSET, simplify=False, verbose=False, **options)
        Path(written).replace(path)


def main() -> None:
    """Write the exports that are not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="names or parts of names; default: all")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "edgec-zoo")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    (options.cache / "exports").mkdir(parents=True, exist_ok=True)
    for name, write in makers().items():
        path = options.cache / "exports" / f"{name}.onnx"
        if path.exists() or (options.networks and not any(part in name for part in options.networks)):
            continue
        torch.manual_seed(SEED)
        try:
            write(path)
            print(f"{name}: {path.stat().st_size / 1e6:.1f} MB", flush=True)
        except Exception as error:  # an exporter's own failure is no reason to stop
            path.unlink(missing_ok=True)
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            if options.networks:
                traceback.print_exc()


if __name__ == "__main__":
    main()
