"""Estimates how long a layer takes on a Jetson's GPU: a roofline, with shares of the peaks fitted to figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from edgec.model.cost import LayerCost
from edgec.plain_file import parse
from edgec.targets.board import Board, Gpu

BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "int8": 1}
"""Number of bytes of an element in the precision in which its layer runs."""
PASSES = frozenset(
    {
        "AveragePool", "Concat", "GlobalAveragePool", "InstanceNormalization", "LRN", "LayerNormalization", "MaxPool",
        "ReduceMean", "Resize", "Softmax", "Transpose",
    }
)  # fmt: skip
"""Operators without multiply-accumulates that still pass over their data; all others are fused."""


@dataclass(frozen=True)
class Shares:
    """Fractions of the peaks that layers reach, the seconds to start one, and the error of estimates made with them.

    `error` is the largest on published figures, each estimated by a fit to the others; None if there are none.
    """

    compute: float
    bandwidth: float
    launch: float
    error: float | None


class GpuEstimate:
    """`Estimate` of a board with a GPU: max(operations / peak, bytes / bandwidth) and a launch for each layer.

    Args:
        board: Its record gives clocks at their maximum: slower power modes take longer.
        shares: Fractions of the peaks; default: those fitted for the GPU's architecture.
    """

    def __init__(self, board: Board, shares: Shares | None = None) -> None:
        if board.gpu is None or board.bandwidth_gbs is None:
            raise ValueError(f"board {board.name} lacks gpu or bandwidth_gbs")
        self.shares = shares or shares_of(board.gpu)
        self._peaks = _peaks(board.gpu)
        self._bandwidth = board.bandwidth_gbs * 1e9 * self.shares.bandwidth

    def __call__(
        self, layers: Sequence[LayerCost], precision: str, in_float: Collection[str] = ()
    ) -> tuple[float, ...]:
        """See `edgec.profile.Estimate`; layers that int8 leaves in float run in fp16."""
        rest = "fp16" if precision == "int8" else "fp32"
        return tuple(self._seconds(layer, rest if layer.name in in_float else precision) for layer in layers)

    def _seconds(self, layer: LayerCost, precision: str) -> float:
        if not layer.macs and layer.op not in PASSES:
            return 0.0
        if precision == "int8" and not layer.macs:
            precision = "fp16"
        # Layers read about as much as they write.
        moved = (layer.weight_bytes + 2 * layer.activation_bytes) / BYTES["fp32"] * BYTES[precision]
        computing = 2 * layer.macs / (self._peaks[precision] * self.shares.compute)
        return max(computing, moved / self._bandwidth) + self.shares.launch


def estimate_for(board: Board) -> GpuEstimate | None:
    """Return the estimate for `board`, or None if its record does not contain enough."""
    known = board.gpu is not None and board.bandwidth_gbs is not None and board.gpu.architecture in _data()
    return GpuEstimate(board) if known else None


def summary(
    estimate: GpuEstimate, layers: Sequence[LayerCost], precision: str, kept: Collection[str], batch: int = 1
) -> dict[str, Any]:
    """Return total and layers of an estimate as JSON values, marked as an estimate.

    Args:
        estimate: Estimate for the board.
        layers: Layers of the network.
        precision: Precision of the engine.
        kept: Names of layers that stay in FP32.
        batch: Number of pictures of an inference, as the layers have it.
    """
    seconds = estimate(layers, precision, kept)
    error = estimate.shares.error
    if error is None:
        remark = "estimate; no published figure of this GPU's architecture to compare with"
    else:
        remark = f"estimate; off by up to {error:.0%} on published figures of this GPU's architecture"
    largest = sorted(zip(layers, seconds, strict=True), key=lambda pair: -pair[1])[:10]
    return {
        "ms": round(1e3 * sum(seconds), 3),
        "remark": f"{remark}; batch {batch}, highest clocks, without copies",
        "slowest_ms": {layer.name: round(1e3 * time, 3) for layer, time in largest if time > 0},
    }


def shares_of(gpu: Gpu) -> Shares:
    """Return the fractions fitted for the architecture of `gpu`."""
    data = _data()
    own = data[gpu.architecture]
    bandwidth, launch_us = own.get("bandwidth", data["bandwidth"]), own.get("launch_us", data["launch_us"])
    return Shares(own["compute"], bandwidth, launch_us * 1e-6, own.get("error"))


def figures() -> list[Mapping[str, Any]]:
    """Return the published figures: board, network, precision, ms, source; mhz and bandwidth_gbs of another mode.

    The precision tf32 is what TensorRT makes of FP32 on Orin by default; edgec's engines are FP32.
    """
    return list(_data()["figure"])


def _peaks(gpu: Gpu) -> dict[str, float]:
    int8 = gpu.int8_tops * 1e12 if gpu.int8_tops is not None else gpu.fp16_gflops * 1e9
    fp16 = gpu.fp16_gflops * 1e9  # TF32, which published figures of Orin use, is half as fast in its tensor cores
    return {"fp32": gpu.fp32_gflops * 1e9, "tf32": fp16 / 2, "fp16": fp16, "int8": int8}


@cache
def _data() -> dict[str, Any]:
    text = resources.files("edgec.targets.tensorrt").joinpath("latency.toml").read_text(encoding="utf-8")
    return dict(parse("toml", text))
