"""The TVM back end's stages on one screen: from a canonical ONNX model to the files of an artefact."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import onnx_ir as ir

from edgec.targets.base import Lowered, LoweringContext
from edgec.targets.tvm.build import build
from edgec.targets.tvm.cpu import needed_flags, resolve
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.link import link
from edgec.targets.tvm.pipeline import lower_relax
from edgec.targets.tvm.runner_build import build_runner, install_example
from edgec.targets.tvm.runtime_libs import CALLS_EXTRA, install_runtime, runtime_folder
from edgec.targets.tvm.wheels import installed_versions

LIBRARY = "model.so"


def lower(model: ir.Model, context: LoweringContext) -> Lowered:
    """Write `model.so`, `lib/`, `edgec-run` and `cpp/` into the artefact; see `edgec.targets.base.Target.lower`."""
    options, record = context.options, context.record
    board = resolve(context.board)
    runtime = runtime_folder(board, options.runtime_wheel, record)
    with record.stage("import into TVM"):
        module = to_relax(model)
    with record.stage("lower"):
        # With the CPU by its own name: the schedules measure the caches of `host`.
        module = lower_relax(module, board.model_copy(update={"cpu": context.board.cpu}))
    with tempfile.TemporaryDirectory(prefix="edgec-") as scratch:
        with record.stage("generate code"):
            built = build(module, board, Path(scratch))
        with record.stage("link"):
            link(built, board, context.folder / LIBRARY)
        extra = CALLS_EXTRA in built.object_file.read_bytes()
    install_runtime(runtime, context.folder / "lib", extra=extra)
    shutil.copy(build_runner(board, runtime, record), context.folder / "edgec-run")
    install_example(context.folder / "cpp")
    versions = installed_versions()
    return Lowered(
        {
            "library": LIBRARY,
            "architecture": board.architecture,
            "cpu": board.cpu,
            "cpu_features": list(board.features),
            "cpu_flags": needed_flags(board),
            "tvm": versions.tvm,
            "tvm_ffi": versions.ffi,
        }
    )
