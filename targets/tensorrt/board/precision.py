"""Precision of the engine: builder flags, layers that stay in fp32, and int8 scales from a calibration cache."""

from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

import tensorrt as trt

from .facts import version_of
from .failure import Failure
from .settings import Settings

if TYPE_CHECKING:
    from .calibrator import CacheOnly

FLAGS: Dict[str, Tuple[str, ...]] = {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}
"""Builder flags of a precision; with int8 alone, other layers would run in fp32 instead of fp16."""


def set_precision(builder: trt.Builder, config: trt.IBuilderConfig, settings: Settings) -> "Optional[CacheOnly]":
    """Set the flags of the precision; return the calibrator, if there is one, for the caller to keep alive.

    Raises:
        Failure: This TensorRT or this GPU does not support the precision, or the calibration cache cannot be read.
    """
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # it is on by default, so that fp32 would be TF32 on Orin
    wanted = FLAGS[settings.precision]
    if settings.fp32_layers:
        wanted += ("OBEY_PRECISION_CONSTRAINTS",)
    for name in wanted:
        if not hasattr(trt.BuilderFlag, name):
            raise Failure(
                "TensorRT {} has no {} flag (removed in 11): it would build FP32. Compile with --precision fp32, or "
                "use the TensorRT version the artefact was compiled for.".format(trt.__version__, name)
            )
        if name == "INT8" and not getattr(builder, "platform_has_fast_int8", True):
            raise Failure("this GPU does not support INT8: compile with --precision fp16.")
        config.set_flag(getattr(trt.BuilderFlag, name))
    if settings.precision != "int8" or settings.calibration_cache is None:
        return None
    from .calibrator import CacheOnly  # noqa: PLC0415  # its base class is gone in 11

    calibrator = CacheOnly(local_cache(settings.calibration_cache, trt.__version__))
    config.int8_calibrator = calibrator
    return calibrator


def local_cache(path: str, version: str) -> bytes:
    """Return the calibration cache `path` with the header that TensorRT `version` expects.

    Its first line names a version and an algorithm, and TensorRT ignores a cache with another one; the scales after
    it have the same meaning in all versions.

    Raises:
        Failure: The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            scales = file.read().partition(b"\n")[2]
    except OSError as error:
        raise Failure("cannot read {}: {}".format(path, error.strerror)) from error
    major, minor, patch = version_of(version)
    number = 10000 * major + 100 * minor + patch if major >= 10 else 1000 * major + 100 * minor + patch
    return "TRT-{}-EntropyCalibration2\n".format(number).encode("ascii") + scales


def pin_to_fp32(network: trt.INetworkDefinition, names: Sequence[str]) -> List[str]:
    """Keep the layers called `names` in fp32; return the names that do not belong to a layer."""
    left = set(names)
    for index in range(network.num_layers if left else 0):
        layer = network.get_layer(index)
        if layer.name not in names:
            continue
        left.discard(layer.name)
        layer.precision = trt.DataType.FLOAT
        for output in range(layer.num_outputs):
            if layer.get_output(output).dtype in (trt.DataType.FLOAT, trt.DataType.HALF):  # leaves out indices
                layer.set_output_type(output, trt.DataType.FLOAT)
    return sorted(left)
