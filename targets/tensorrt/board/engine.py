"""The TensorRT engine: built from the model, stored with what it was built for, loaded only where that still holds."""

import hashlib
import json
import os
from typing import Any, Dict, List, Optional, Tuple

from .failure import Failure, with_log
from .settings import COPY_AGAIN, Settings

ENGINE, ENGINE_FACTS, TIMING_CACHE = "model.engine", "engine.json", "timing.cache"
RECIPE = 1  # raise when the way of building changes: engines built the old way are then built again


def import_tensorrt() -> Any:
    """Return the module `tensorrt`, its plugins registered.

    Raises:
        Failure: This Python has no TensorRT.
    """
    try:
        import tensorrt  # noqa: PLC0415  # absent on every machine but the board
    except (ImportError, OSError) as error:
        raise Failure(
            "this Python has no TensorRT ({}). JetPack installs it for /usr/bin/python3: use that one, or "
            "sudo apt-get install nvidia-jetpack python3-libnvinfer".format(error)
        ) from error
    return tensorrt


def make_logger(trt: Any) -> Any:
    """Return a TensorRT logger that keeps errors in `.errors` and warnings in `.warnings` (lists of str)."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: List[str] = []
            self.warnings: List[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)
            elif severity == trt.ILogger.WARNING:
                self.warnings.append(message)

    return Logger()


def version_of(text: str) -> Tuple[int, ...]:
    """Return (major, minor, patch) of a TensorRT version such as `8.2.1.8`."""
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def check_version(settings: Settings, local: str) -> Optional[str]:
    """Return a warning if TensorRT `local` is newer than the one the model was prepared for.

    Raises:
        Failure: It is older: the model may use what its parser lacks or reads wrongly.
    """
    wanted, found = version_of(settings.tensorrt)[:2], version_of(local)[:2]
    if found == wanted:
        return None
    if found < wanted:
        raise Failure(
            "this board has TensorRT {}, the artefact was compiled for {}: compile it again with a board file that "
            'says software.tensorrt = "{}".'.format(local, settings.tensorrt, local)
        )
    return "this board has TensorRT {}, newer than the {} the artefact was compiled for.".format(
        local, settings.tensorrt
    )


def facts_of(settings: Settings, local: str, sm: int, device: Optional[str]) -> Dict[str, Any]:
    """Return everything an engine depends on, and its hash under `key`.

    Raises:
        Failure: The model is not the one that was compiled.
    """
    try:
        with open(settings.model, "rb") as file:
            model = hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise Failure("{}: {}. {}".format(settings.model, error.strerror, COPY_AGAIN)) from error
    if model != settings.model_sha256:
        raise Failure("{} was altered or copied incompletely. {}".format(settings.model, COPY_AGAIN))
    facts: Dict[str, Any] = {
        "model_sha256": model,
        "tensorrt": local,
        "sm": sm,
        "device": device,
        "precision": settings.precision,
        "workspace_mib": settings.workspace_mib,
        "recipe": RECIPE,
    }
    facts["key"] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()
    return facts


def why_not_usable(settings: Settings, facts: Dict[str, Any]) -> Optional[str]:
    """Return why the stored engine cannot be used for `facts`, found without loading it; None if it can."""
    try:
        with open(settings.path(ENGINE_FACTS), encoding="utf-8") as file:
            stored = json.load(file)
        with open(settings.path(ENGINE), "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    except (OSError, ValueError):
        return "there is no engine yet"
    if not isinstance(stored, dict) or stored.get("engine_sha256") != digest:
        return "the stored engine is damaged"
    for name, value in facts.items():
        if stored.get(name) != value:
            return "the stored engine was built for {} {}, here it is {}".format(name, stored.get(name), value)
    return None


def build(trt: Any, settings: Settings, facts: Dict[str, Any]) -> None:
    """Build the engine, and store it with `facts`.

    Raises:
        Failure: The parser refuses the model, the precision is not to be had here, or the builder fails.
    """
    logger = make_logger(trt)
    trt.init_libnvinfer_plugins(logger, "")
    builder = trt.Builder(logger)
    # Explicit batch is the only kind from TensorRT 10 on, and the flag is gone in 11.
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if explicit is None else 1 << int(explicit))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(settings.model):
        raise Failure(with_log("TensorRT {} cannot parse the model.".format(facts["tensorrt"]), _parser_errors(parser)))
    plan = _serialize(trt, settings, logger, builder, network)
    _write(settings.path(ENGINE), bytes(plan))
    stored = dict(facts, engine_sha256=hashlib.sha256(bytes(plan)).hexdigest())
    _write(settings.path(ENGINE_FACTS), json.dumps(stored, indent=2, sort_keys=True).encode("utf-8"))


def _serialize(trt: Any, settings: Settings, logger: Any, builder: Any, network: Any) -> Any:
    # A tactic that needs more than the workspace is not "found": try once with twice as much before giving up.
    for workspace_mib in (settings.workspace_mib, 2 * settings.workspace_mib):
        config = builder.create_builder_config()
        _set_workspace(trt, config, workspace_mib << 20)
        _set_precision(trt, builder, config, settings)
        timing_cache = _attach_timing_cache(config, settings)
        plan = builder.build_serialized_network(network, config)
        if plan is not None:
            _write(settings.path(TIMING_CACHE), bytes(timing_cache.serialize()))
            return plan
        if not any("find any implementation" in line for line in logger.errors):
            break
    text = " ".join(logger.errors).lower()
    if "out of memory" in text or "outofmemory" in text:
        message = (
            "out of memory while building the engine: stop the desktop (sudo systemctl isolate multi-user.target), "
            "close programs, add swap, and run again; what was timed so far is kept."
        )
    else:
        message = "TensorRT could not build the engine (workspace {} MiB).".format(workspace_mib)
    raise Failure(with_log(message, logger.errors))


def _set_workspace(trt: Any, config: Any, size: int) -> None:
    if hasattr(config, "set_memory_pool_limit"):  # 8.4 and later
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    else:
        config.max_workspace_size = size


def _set_precision(trt: Any, builder: Any, config: Any, settings: Settings) -> None:
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default: fp32 would silently be TF32 on Orin
    wanted: Tuple[str, ...] = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}[settings.precision]
    for name in wanted:
        if not hasattr(trt.BuilderFlag, name):
            raise Failure(
                "TensorRT {} has no {} flag (removed in 11): it would build FP32. Compile with --precision fp32, or "
                "use the TensorRT the artefact was compiled for.".format(trt.__version__, name)
            )
        if name == "INT8" and not getattr(builder, "platform_has_fast_int8", True):
            raise Failure("this GPU has no INT8: compile with --precision fp16.")
        config.set_flag(getattr(trt.BuilderFlag, name))


def _attach_timing_cache(config: Any, settings: Settings) -> Any:
    """Give `config` the cache of earlier builds; return it, for the caller to keep alive and store."""
    try:
        with open(settings.path(TIMING_CACHE), "rb") as file:
            stored = file.read()
    except OSError:
        stored = b""
    # False: a cache of another version or device is refused, and an empty one takes its place.
    cache = config.create_timing_cache(stored)
    if not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _parser_errors(parser: Any) -> List[str]:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return [_parser_error(error) for error in errors]


def _parser_error(error: Any) -> str:
    where = "node {}".format(error.node())
    if hasattr(error, "node_name"):  # 10 and later
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
