"""Parses and builds one ONNX file with TensorRT for RTX, without a GPU; runs in its own process.

`python rtx_build.py MODEL.onnx ENGINE WORKSPACE_MIB PROFILES` (JSON) prints one line of JSON: `version`,
`layers` and `bytes`, or `errors`. A crash inside TensorRT ends this process, not the compiler.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def import_builder() -> Any:
    """Return `tensorrt_rtx`, or else `tensorrt`.

    Raises:
        ImportError: Neither is installed.
    """
    try:
        return importlib.import_module("tensorrt_rtx")
    except ImportError:
        return importlib.import_module("tensorrt")


def build(
    trt: Any, model: Path, engine: Path, workspace_mib: int, profiles: dict[str, dict[str, list[int]]]
) -> dict[str, Any]:
    """Build `model` into the file `engine`; `profiles`: input -> min, opt, max. Return what `main` prints."""
    errors: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                errors.append(message)

    logger = Logger()
    builder = trt.Builder(logger)
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        found = [parser.get_error(index) for index in range(parser.num_errors)]
        return {"errors": [f"{each.node_operator()} node {each.node_name()!r}: {each.desc()}" for each in found]}
    config = builder.create_builder_config()
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # it is on by default, so that fp32 would be TF32
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mib << 20)
    if profiles:
        profile = builder.create_optimization_profile()
        for name, shapes in profiles.items():
            profile.set_shape(name, shapes["min"], shapes["opt"], shapes["max"])
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return {"errors": errors[-3:] or ["the builder returned nothing"]}
    content = bytes(plan)
    engine.write_bytes(content)
    return {"version": trt.__version__, "layers": network.num_layers, "bytes": len(content)}


def main() -> None:
    """Build the model that the arguments name."""
    model, engine, workspace_mib, profiles = sys.argv[1:]
    try:
        trt = import_builder()
    except (ImportError, OSError) as error:
        print(json.dumps({"missing": str(error)}))
        return
    print(json.dumps(build(trt, Path(model), Path(engine), int(workspace_mib), json.loads(profiles))))


if __name__ == "__main__":
    main()
