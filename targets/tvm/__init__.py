"""The TVM back end: compiles networks for CPUs. Importing this needs no TVM; using it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgec.profile import Arithmetic, Profile
from edgec.reference.half import in_half
from edgec.targets.base import Finding, Lowered, LoweringContext, RunContext, Runner
from edgec.targets.board import Board
from edgec.targets.tvm.estimate import CpuEstimate, integer_weight_bits
from edgec.targets.tvm.operator_names import OPERATORS
from edgec.targets.tvm.runtime_record import TvmRuntime

if TYPE_CHECKING:
    import onnx_ir as ir


ARITHMETIC = {
    "fp32": Arithmetic(1e-4, exact=True),
    "fp16": Arithmetic(1e-2, 1e-4, in_half, exact=True),
    "int8": Arithmetic(2e-2, 5e-7, exact=True, layer=2e-3),
}
"""Integer sums are exact; half-precision values are summed in single precision, or in another order."""


class TvmTarget:
    """Target of every CPU board; see `edgec.targets.base.Target` for the methods."""

    runtime = TvmRuntime

    def profile(self, board: Board) -> Profile:
        """Return the profile of `board` for the passes."""
        lanes = 4 if board.architecture == "aarch64" else 8  # 128-bit NEON; 256-bit AVX (512 gains nothing more here)
        return Profile(
            precisions=board.precisions,
            channel_multiple=lanes,
            weight_bits=integer_weight_bits(board),
            operators=OPERATORS,
            bounded_sizes=True,
            dynamic_batch=True,
            tunable=True,
            estimate=CpuEstimate(board),
            arithmetic=ARITHMETIC,
        )

    def check(self, model: ir.Model, board: Board) -> tuple[Finding, ...]:
        """Return one finding for every node: whether TVM's importer supports it.

        Raises:
            MissingDependency: TVM is missing.
        """
        from edgec.targets.tvm.wheels import installed_versions  # noqa: PLC0415

        installed_versions()
        from edgec.targets.tvm.from_onnx import check  # noqa: PLC0415

        return check(model)

    def lower(self, model: ir.Model, context: LoweringContext) -> Lowered:
        """Compile `model` into `context.folder`.

        Raises:
            UnsupportedModel: An operator cannot be imported; the message names it and its nodes.
            MissingDependency: TVM, zig or the board's runtime libraries are missing.
            BadOption: The board's CPU, glibc or precision, or the given runtime wheel, is not suitable.
        """
        from edgec.targets.tvm.wheels import installed_versions  # noqa: PLC0415
        from edgec.targets.tvm.zig import zig_version  # noqa: PLC0415

        installed_versions(), zig_version()  # fail here, before TVM is imported
        from edgec.targets.tvm.lower import lower  # noqa: PLC0415

        return lower(model, context)

    def open(self, context: RunContext) -> Runner:
        """Load the artefact: in this process, by its own `edgec-run`, or emulated.

        Raises:
            CannotRunHere: This CPU cannot run it, and the emulator is missing.
        """
        from edgec.targets.tvm.run import open_artefact  # noqa: PLC0415

        return open_artefact(context)
