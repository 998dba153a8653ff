"""The TVM back end's stages on one screen: from a canonical ONNX model to the files of an artefact.

TVM itself is imported only where the cache does not hold the library.
"""

from __future__ import annotations

import shlex

import onnx_ir as ir

from edgec.model.signature import batched, inputs_of
from edgec.targets.base import LICENCES, Lowered, LoweringContext
from edgec.targets.tvm.batch import check_batch
from edgec.targets.tvm.cache import Cache
from edgec.targets.tvm.compile_cache import key_of
from edgec.targets.tvm.estimate import why_unsure
from edgec.targets.tvm.half_range import check_range
from edgec.targets.tvm.licences import install_licences
from edgec.targets.tvm.runner_build import C_LIBRARY, DETECT, install_example, install_module, install_runner
from edgec.targets.tvm.runtime_libs import install_runtime, runtime_libraries
from edgec.targets.tvm.runtime_record import LIBRARY, RUNNER
from edgec.targets.tvm.tuning.tuned import read_tuned
from edgec.targets.tvm.wheels import installed_versions

STEP = "schedule"
"""Name of the step under which the lowering records refusals."""


def lower(model: ir.Model, context: LoweringContext) -> Lowered:
    """Write `model.so`, `lib/`, `edgec-run`, for pictures `edgec-detect`, `cpp/`, `python/`, `LICENSES/`.

    See `edgec.targets.base.Target.lower`.
    """
    options, record, library = context.options, context.record, context.folder / LIBRARY
    # Kernels are divided into tasks for this number of threads, so it has to be the number that will run them.
    board = context.board.model_copy(update={"threads": options.threads or context.board.threads})
    largest = check_batch(model, options.batch) if options.batch else 1
    if options.precision == "fp16":
        with record.stage("range of values"):
            check_range(model, context.golden_inputs)
    tuned = read_tuned(options.tuned, board, options.precision, record) if options.tuned else {}
    pictures = _takes_picture(model)
    key = key_of(model, board, options, tuned) if options.cache else ""
    with runtime_libraries(board, options.runtime_wheel, record) as runtime:
        cache = Cache("compiled", record.tell)
        facts = cache.take(key, library) if key else None
        if facts is None:
            from edgec.targets.tvm.library import compile_library  # noqa: PLC0415

            facts = compile_library(model, board, options.precision, record, library, tuned)
            if key:
                cache.keep(key, library, facts)
        install_runtime(runtime, context.folder / "lib")
        install_runner(board, record, context.folder / RUNNER)
        install_runner(board, record, context.folder / "lib" / C_LIBRARY)
        if pictures:
            install_runner(board, record, context.folder / DETECT)
        install_licences(runtime, context.folder / LICENCES, pictures=pictures)
    install_example(context.folder / "cpp")
    install_module(context.folder / "python")
    for where, reason in facts["left_out"]:
        record.refuse(STEP, where, reason)
    if unsure := why_unsure(board):
        record.warn("estimate", f"board {board.name}", unsure)
    versions = installed_versions()
    choices = {"tuned": facts["tuned"]} if options.tuned else {}
    told = {
        key: facts[key] for key in ("cpu", "cpu_features", "cpu_flags", "activation_bytes", "kernels", "taps", "layers")
    }
    return Lowered(
        {
            "library": LIBRARY,
            "architecture": board.architecture,
            "batch": largest,
            **told,
            **choices,
            "tvm": versions.tvm,
            "tvm_ffi": versions.ffi,
        },
        later=("cpp/build", "python/__pycache__"),
        inner={tap["value"]: tuple(tap["shape"]) for tap in facts["taps"]},
        commands=_commands(model),
    )


def _commands(model: ir.Model) -> dict[str, str]:
    names = [spec.name for spec in inputs_of(model)]
    files = ["input.npy"] if len(names) == 1 else [f"input-{number}.npy" for number in range(len(names))]
    pairs = [shlex.quote(f"{name}={file}") for name, file in zip(names, files, strict=True)]
    inputs = "".join(f" --input {pair}" for pair in pairs)
    see = {"Print what the network finds in pictures": f"./{DETECT} --json pictures"} if _takes_picture(model) else {}
    return see | {
        "Compare its outputs with those of ONNX Runtime": f"./{RUNNER} --self-test",
        "Run it on arrays of your own": f"mkdir -p results && ./{RUNNER}{inputs} --output-dir results",
        "Measure how long an inference takes": f"./{RUNNER} --warmup 10 --runs 100",
        "Run it in Python programs, which need numpy alone": "see python/edgec_model.py",
    }


def _takes_picture(model: ir.Model) -> bool:
    """Whether the only input may be a picture: one or three channels, with or without a batch of 1."""
    inputs = inputs_of(model)
    shape = batched(inputs[0].shape) if len(inputs) == 1 else ()
    return len(shape) == 4 and shape[0] == 1 and (shape[1] in (1, 3) or shape[3] in (1, 3))
