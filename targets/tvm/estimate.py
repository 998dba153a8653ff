"""Estimates how long a layer takes on a CPU, by a roofline of multiply-accumulates and bytes moved."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgec.model.cost import LayerCost
from edgec.targets.board import Board
from edgec.targets.tvm.cpu_flags import machine_flags

MACS_PER_CYCLE = {
    "cortex-a53": 4,
    "cortex-a57": 4,
    "cortex-a72": 4,
    "cortex-a76": 8,
    "neoverse-v1": 16,
    "x86-64-v4": 32,
}
"""Number of fp32 multiply-accumulates per core and cycle: lanes of a vector times pipelines."""
OTHERS = {"aarch64": 4, "x86_64": 16}
FAMILIES = frozenset({"host", "generic", "x86-64-v3"})
"""Names that stand for many CPUs, to which the figures of `OTHERS` apply."""
# fmt: off
HAS_DOT_PRODUCT = frozenset({
    "cortex-a55", "cortex-a75", "cortex-a76", "cortex-a77", "cortex-a78", "cortex-a510", "cortex-a710",
    "cortex-x1", "cortex-x2", "neoverse-n1", "neoverse-n2", "neoverse-v1", "neoverse-v2",
    "cascadelake", "cooperlake", "icelake-client", "icelake-server", "tigerlake", "rocketlake", "alderlake",
    "raptorlake", "meteorlake", "sapphirerapids", "graniterapids", "sierraforest", "znver4", "znver5",
})
# fmt: on
"""CPUs, by LLVM's names, that have it; for other CPUs the features in the board's record say so."""
DOT_PRODUCT_FEATURES = frozenset({"+dotprod", "+avx512vnni", "+avxvnni"})
DOT_PRODUCT_FLAGS = frozenset({"asimddp", "avx512_vnni", "avx_vnni"})
DOT_PRODUCT_GAIN, PAIRS_GAIN, WIDENING_GAIN = 2.0, 1.3, 1.1
"""Speed of whole networks in int8 over that in fp32, with a dot product of four bytes, with x86's product of pairs, and
with widening ones: about what bench/int8.py measures."""

SHARE_OF_PEAK = 0.6
BYTES_PER_CYCLE = 8.0
"""Both are per core. Except for one common factor, the estimates of four networks on x86 are within 22 %, see
bench/latency_estimate.py; the factor was not measured on any board."""
DEFAULT_MHZ = 2000.0
"""Used if the record states no clock: estimates then compare networks on the board, and are no absolute times."""

PASSES = frozenset(
    {"AveragePool", "Concat", "LayerNormalization", "MaxPool", "ReduceMean", "Resize", "Softmax", "Transpose"}
)
"""Operators without multiply-accumulates that still pass over their data; others are fused into the layer before."""


def has_dot_product(board: Board) -> bool:
    """Return whether the CPU has a dot product of four bytes."""
    if board.cpu == "host":
        return bool(machine_flags() & DOT_PRODUCT_FLAGS)
    return board.cpu in HAS_DOT_PRODUCT or not DOT_PRODUCT_FEATURES.isdisjoint(board.features)


def why_unsure(board: Board) -> str | None:
    """Return what the estimates for a board assume because its CPU is unknown; None if it is known."""
    if board.cpu in MACS_PER_CYCLE or board.cpu in FAMILIES or board.macs_per_cycle is not None:
        return None
    dot = "a" if has_dot_product(board) else "no"
    return (
        f"edgec has no performance figures of the CPU {board.cpu}: estimates assume {OTHERS[board.architecture]} "
        f"multiply-accumulates per cycle and {dot} dot product of bytes; set macs_per_cycle in the board file, "
        "and +dotprod, +avx512vnni or +avxvnni in its features"
    )


def integer_gain(board: Board) -> float:
    """Return approximately how much faster networks run in int8 than in fp32."""
    if has_dot_product(board):
        return DOT_PRODUCT_GAIN
    return PAIRS_GAIN if board.architecture == "x86_64" else WIDENING_GAIN


def integer_weight_bits(board: Board) -> int:
    """Return the width of weights that integer kernels run at full speed: products of pairs saturate beyond 7 bits."""
    return 8 if has_dot_product(board) or board.architecture != "x86_64" else 7


class CpuEstimate:
    """`Estimate` of a board's CPU with all its threads in use."""

    def __init__(self, board: Board) -> None:
        cycles = (board.max_mhz or DEFAULT_MHZ) * 1e6 * board.threads
        peak = board.macs_per_cycle or MACS_PER_CYCLE.get(board.cpu, OTHERS[board.architecture])
        self._macs = SHARE_OF_PEAK * peak * cycles
        self._bytes = BYTES_PER_CYCLE * cycles
        self._gain = integer_gain(board)

    def __call__(
        self, layers: Sequence[LayerCost], precision: str, in_float: Collection[str] = ()
    ) -> tuple[float, ...]:
        """See `edgec.profile.Estimate`."""
        return tuple(self._seconds(layer, precision == "int8" and layer.name not in in_float) for layer in layers)

    def _seconds(self, layer: LayerCost, on_integers: bool) -> float:
        if not layer.macs and layer.op not in PASSES:
            return 0.0
        moved = layer.weight_bytes + 2 * layer.activation_bytes  # a layer reads about as many bytes as it writes
        if on_integers and layer.macs:
            return max(layer.macs / (self._macs * self._gain), moved / 4 / self._bytes)
        return max(layer.macs / self._macs, moved / self._bytes)
