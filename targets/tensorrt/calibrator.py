"""An INT8 calibrator with edgec's scales, for any flow that builds TensorRT engines (7.1 to 10.x).

    config.int8_calibrator = make_calibrator("model.calibration.json")

No pictures are needed where the engine is built: TensorRT uses the scales as if it had calibrated before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgec.errors import BadOption, MissingDependency, reason
from edgec.quantization import CalibrationTable
from edgec.targets.tensorrt.calibration import cache_text, read_cache


def make_calibrator(ranges: Mapping[str, float] | str | Path) -> Any:
    """Return a `tensorrt.IInt8EntropyCalibrator2` that provides `ranges` and no pictures.

    Its attribute `refused` is True after a build in which TensorRT did not use them. Keep a reference to it until the
    engine is built. The network must not contain QuantizeLinear, which makes TensorRT ignore calibrators.

    Args:
        ranges: Tensor -> largest magnitude; or the path of a table of `edgec calibrate` (.json) or of a calibration
            cache of any TensorRT version. Names are those of the ONNX model that is built. The table must come from
            `edgec calibrate --no-equalize`, because other tables belong to a network that was equalized first.

    Raises:
        MissingDependency: TensorRT is missing, or is 11 or newer, which has no calibrators.
        BadOption: See `read_ranges`.
    """
    try:
        import tensorrt  # noqa: PLC0415

        from edgec.targets.tensorrt.board.calibrator import CacheOnly  # noqa: PLC0415
    except (ImportError, AttributeError) as error:
        raise MissingDependency(
            f"no TensorRT with calibrators: {error}", remedy="Use TensorRT 7.1 to 10.x; from 11 on, use Q/DQ models."
        ) from error
    known = ranges if isinstance(ranges, Mapping) else read_ranges(Path(ranges))
    return CacheOnly(cache_text(known, tensorrt.__version__).encode("ascii"))


def read_ranges(path: Path) -> dict[str, float]:
    """Return tensor -> largest magnitude from a table of `edgec calibrate` or a calibration cache.

    Raises:
        BadOption: The file is unreadable or neither, or the table belongs to an equalized network.
    """
    if path.suffix == ".json":
        table = CalibrationTable.read(path)
        if table.equalized:
            raise BadOption(
                f"calibration table {path}: its ranges belong to the equalized network, not to the ONNX file",
                remedy="Make the table with `edgec calibrate --no-equalize`.",
            )
        return {name: max(abs(entry.low), abs(entry.high)) for name, entry in table.tensors.items()}
    try:
        return read_cache(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise BadOption(
            f"calibration cache {path}: {reason(error)}", remedy="Give a file that TensorRT or edgec wrote."
        ) from error
