"""Operators with windows, as PyTorch computes them: convolutions, pools and resizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from edgec.errors import UnsupportedModel
from edgec.recovery.pytorch import Tensor, pytorch

Attributes = Mapping[str, Any]
torch = pytorch()
functional = torch.nn.functional


def conv(x: list[Tensor], a: Attributes) -> Tensor:
    """Convolution of one, two or three axes."""
    image, weight, bias = (*x, None)[:3]
    axes = weight.dim() - 2
    image = _padded(image, a.get("pads", (0,) * 2 * axes), 0.0)
    run = getattr(functional, f"conv{axes}d")
    one = (1,) * axes
    return run(image, weight, bias, a.get("strides", one), 0, a.get("dilations", one), a.get("group", 1))


def conv_transpose(x: list[Tensor], a: Attributes) -> Tensor:
    """Transposed convolution: the whole result, of which `pads` are cut off."""
    image, weight, bias = (*x, None)[:3]
    axes = weight.dim() - 2
    zero, one = (0,) * axes, (1,) * axes
    if "output_shape" in a:
        raise UnsupportedModel("a ConvTranspose with output_shape cannot be trained")
    run = getattr(functional, f"conv_transpose{axes}d")
    strides, more = a.get("strides", one), a.get("output_padding", zero)
    full = run(image, weight, bias, strides, 0, more, a.get("group", 1), a.get("dilations", one))
    pads = a.get("pads", zero + zero)
    for axis in range(axes):
        size = full.shape[axis + 2] - pads[axis] - pads[axis + axes]
        full = full.narrow(axis + 2, pads[axis], size)
    return full


def max_pool(x: list[Tensor], a: Attributes) -> Tensor:
    """Maximum of each window."""
    kernel = a["kernel_shape"]
    axes = len(kernel)
    one = (1,) * axes
    image = _padded(x[0], a.get("pads", (0,) * 2 * axes), -math.inf)
    run = getattr(functional, f"max_pool{axes}d")
    return run(image, kernel, a.get("strides", one), 0, a.get("dilations", one), bool(a.get("ceil_mode", 0)))


def average_pool(x: list[Tensor], a: Attributes) -> Tensor:
    """Mean of each window, without the padding unless it counts."""
    kernel = a["kernel_shape"]
    axes = len(kernel)
    if a.get("ceil_mode", 0) or any(step != 1 for step in a.get("dilations", (1,))):
        raise UnsupportedModel("an AveragePool with ceil_mode or dilations cannot be trained")
    pads = a.get("pads", (0,) * 2 * axes)
    run = getattr(functional, f"avg_pool{axes}d")
    strides = a.get("strides", (1,) * axes)
    mean = run(_padded(x[0], pads, 0.0), kernel, strides)
    if any(pads) and not a.get("count_include_pad", 0):
        mean = mean / run(_padded(torch.ones_like(x[0][:1, :1]), pads, 0.0), kernel, strides)
    return mean


def resize(x: list[Tensor], a: Attributes) -> Tensor:
    """Nearest and linear resizing, one axis after the other, by the coordinates that ONNX defines."""
    image, scales, sizes = (*x, None, None)[0], (*x, None, None)[2], (*x, None, None, None)[3]
    axes = a.get("axes", tuple(range(image.dim())))
    unusual = a.get("antialias", 0) or a.get("keep_aspect_ratio_policy", "stretch") != "stretch"
    if unusual or a.get("mode", "nearest") not in ("nearest", "linear"):
        raise UnsupportedModel(f"a Resize of mode {a.get('mode', 'nearest')} in this form cannot be trained")
    for place, axis in enumerate(axes):
        length = image.shape[axis]
        if sizes is not None and sizes.numel():
            size = int(sizes[place])
            scale = size / length
        else:
            scale = float(scales[place])
            size = math.floor(length * scale)
        if size != length or scale != 1:
            image = _along(image, axis, _coordinates(length, size, scale, a), a)
    return image


def _coordinates(length: int, size: int, scale: float, a: Attributes) -> Any:
    at = np.arange(size, dtype=np.float64)
    mode = a.get("coordinate_transformation_mode", "half_pixel")
    formulas: dict[str, Callable[[], Any]] = {
        "half_pixel": lambda: (at + 0.5) / scale - 0.5,
        "pytorch_half_pixel": lambda: (at + 0.5) / scale - 0.5 if size > 1 else at * 0,
        "asymmetric": lambda: at / scale,
        "align_corners": lambda: at * ((length - 1) / max(size - 1, 1)),
    }
    if mode not in formulas:
        raise UnsupportedModel(f"a Resize with the coordinates {mode} cannot be trained")
    return formulas[mode]()


def _along(image: Tensor, axis: int, at: Any, a: Attributes) -> Tensor:
    last = image.shape[axis] - 1
    if a.get("mode", "nearest") == "nearest":
        roundings: dict[str, Callable[[], Any]] = {
            "round_prefer_floor": lambda: np.ceil(at - 0.5),
            "round_prefer_ceil": lambda: np.floor(at + 0.5),
            "floor": lambda: np.floor(at),
            "ceil": lambda: np.ceil(at),
        }
        rounding = roundings[a.get("nearest_mode", "round_prefer_floor")]
        return image.index_select(axis, _places(rounding(), last, image))
    at = np.clip(at, 0, last)
    low = np.floor(at)
    share = torch.as_tensor(at - low, dtype=image.dtype, device=image.device)
    share = share.reshape([-1 if each == axis else 1 for each in range(image.dim())])
    below, above = (image.index_select(axis, _places(each, last, image)) for each in (low, low + 1))
    return below * (1 - share) + above * share


def _places(at: Any, last: int, image: Tensor) -> Tensor:
    return torch.as_tensor(np.clip(at, 0, last).astype(np.int64), device=image.device)


def _padded(image: Tensor, pads: Sequence[int], value: float) -> Tensor:
    """Pad by ONNX's `pads`: all beginnings, then all ends; PyTorch wants pairs, the last axis first."""
    axes = len(pads) // 2
    pairs = list(chain.from_iterable((pads[axis], pads[axis + axes]) for axis in reversed(range(axes))))
    return functional.pad(image, pairs, value=value) if any(pairs) else image
