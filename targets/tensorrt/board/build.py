"""Builds the engine from the model, and stores it with the facts on which it depends."""

import hashlib
import json
import os
from typing import Any, Dict, List

import tensorrt as trt

from .facts import ENGINE, ENGINE_FACTS
from .failure import Failure, with_log
from .log import Logger, new_logger
from .precision import pin_to_fp32, set_precision
from .settings import Settings

TIMING_CACHE = "timing.cache"
OUT_OF_MEMORY = (
    "out of memory while building the engine: stop the desktop (sudo systemctl isolate multi-user.target), close "
    "programs, add swap, and run again; timings so far are kept."
)


def build(settings: Settings, facts: Dict[str, Any]) -> List[str]:
    """Build the engine, and store it with `facts`; return warnings about everything that could not be done as asked.

    Raises:
        Failure: The parser rejects the model, the precision is not available here, or the builder fails.
    """
    logger = new_logger()
    builder = trt.Builder(logger)
    # From TensorRT 10 on explicit batch is the only mode, and in 11 the flag does not exist any more.
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if explicit is None else 1 << int(explicit))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(settings.model):
        raise Failure(with_log("TensorRT {} cannot parse the model.".format(facts["tensorrt"]), _parser_errors(parser)))
    missing = pin_to_fp32(network, settings.fp32_layers)
    warnings = ["no layer is called {!r}: it is not kept in fp32".format(name) for name in missing]
    plan = _serialize(settings, logger, builder, network)
    _write(settings.path(ENGINE), plan)
    stored = dict(facts, engine_sha256=hashlib.sha256(plan).hexdigest())
    _write(settings.path(ENGINE_FACTS), json.dumps(stored, indent=2, sort_keys=True).encode("utf-8"))
    unscaled = [line for line in logger.warnings if "missing scale" in line.lower()]
    if unscaled:
        warnings.append("{} tensors have no int8 scale and stay in float: {}".format(len(unscaled), unscaled[0]))
    return warnings


def _serialize(settings: Settings, logger: Logger, builder: trt.Builder, network: trt.INetworkDefinition) -> bytes:
    # If a tactic needs more than the workspace, none is "found": so try once more with twice as much.
    for workspace_mib in (settings.workspace_mib, 2 * settings.workspace_mib):
        config = builder.create_builder_config()
        _set_workspace(config, workspace_mib << 20)
        calibrator = set_precision(builder, config, settings)
        _add_profile(builder, config, settings)
        timing_cache = _attach_timing_cache(config, settings)
        plan = builder.build_serialized_network(network, config)
        _write(settings.path(TIMING_CACHE), bytes(timing_cache.serialize()))
        if calibrator is not None and calibrator.refused:
            message = "TensorRT {} did not take the scales in {}.".format(trt.__version__, settings.calibration_cache)
            raise Failure(with_log(message, logger.errors))
        if plan is not None:
            return bytes(plan)
        if not any("find any implementation" in line for line in logger.errors):
            break
    text = " ".join(logger.errors).lower()
    if "out of memory" in text or "outofmemory" in text:
        raise Failure(with_log(OUT_OF_MEMORY, logger.errors))
    message = "TensorRT could not build the engine (workspace {} MiB).".format(workspace_mib)
    raise Failure(with_log(message, logger.errors))


def _set_workspace(config: trt.IBuilderConfig, size: int) -> None:
    # This must always be set: the default is 0 in 8.2, and all the memory from 8.4 on.
    if hasattr(trt, "MemoryPoolType") and hasattr(config, "set_memory_pool_limit"):  # 8.4 and later
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    elif hasattr(config, "max_workspace_size"):
        config.max_workspace_size = size


def _add_profile(builder: trt.Builder, config: trt.IBuilderConfig, settings: Settings) -> None:
    if not settings.profiles:
        return
    profile = builder.create_optimization_profile()
    for name, shapes in settings.profiles.items():
        profile.set_shape(name, *(trt.Dims(list(shape)) for shape in shapes))
    if config.add_optimization_profile(profile) < 0:
        shown = "; ".join(
            "{} {}..{}".format(name, shapes.min, shapes.max) for name, shapes in settings.profiles.items()
        )
        raise Failure("TensorRT rejects these ranges of shapes: {}. Compile again with others.".format(shown))


def _attach_timing_cache(config: trt.IBuilderConfig, settings: Settings) -> trt.ITimingCache:
    """Give `config` the timing cache of earlier builds; return it, for the caller to keep alive and store."""
    try:
        with open(settings.path(TIMING_CACHE), "rb") as file:
            stored = file.read()
    except OSError:
        stored = b""
    # False: a cache of another version or device is rejected, and an empty one is used.
    cache = config.create_timing_cache(stored)
    if not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _parser_errors(parser: trt.OnnxParser) -> List[str]:
    return [_parser_error(parser.get_error(index)) for index in range(parser.num_errors)]


def _parser_error(error: trt.ParserError) -> str:
    where = "node {}".format(error.node())
    if hasattr(error, "node_name") and hasattr(error, "node_operator"):  # 10 and later
        where += " {} {!r}".format(error.node_operator(), error.node_name())
    return "{}: {}".format(where, error.desc())


def _write(path: str, content: bytes) -> None:
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            file.write(content)
        os.replace(part, path)
    except OSError as error:
        raise Failure("cannot write {}: {}".format(path, error.strerror)) from error
