"""Compares the engine's outputs with the golden ones."""

from typing import Any, Dict, List, Tuple

import numpy as np

from .failure import Failure
from .session import Session
from .settings import COPY_AGAIN, Settings, Tensor

CONSTANT_SHARE = 1e-3  # outputs whose range is a smaller share of their magnitude count as constant


def verify(session: Session, settings: Settings) -> List[Dict[str, Any]]:
    """Run the golden inputs and return, per output, name, max_abs_error, error, tolerance and passed.

    `error` of float outputs is max|a - b| over the range (max - min) of the golden output, over its magnitude if it is
    nearly constant; of integer and boolean outputs the share of elements that differ.

    Raises:
        Failure: A golden file is missing, damaged or of another shape.
    """
    for tensor, buffer in zip(settings.inputs, session.inputs):
        buffer.host[...] = read_golden(tensor).astype(buffer.host.dtype)
    session.run()
    return [
        _compare(tensor, buffer.host, read_golden(tensor), settings.tolerance)
        for tensor, buffer in zip(settings.outputs, session.outputs)
    ]


def read_golden(tensor: Tensor) -> Any:
    """Return the golden values of `tensor`.

    Raises:
        Failure: The file is missing, no .npy file, or of another shape than the manifest says.
    """
    try:
        values = np.load(tensor.golden, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Failure("golden data {}: {}. {}".format(tensor.golden, error, COPY_AGAIN)) from error
    if values.shape != tensor.shape:
        raise Failure(
            "golden data {}: shape {}, the manifest says {}. {}".format(
                tensor.golden, values.shape, tensor.shape, COPY_AGAIN
            )
        )
    return values


def _compare(tensor: Tensor, found: Any, golden: Any, tolerance: float) -> Dict[str, Any]:
    if golden.dtype.kind == "f":
        largest, error = _float_error(found.astype(np.float64), golden.astype(np.float64))
    else:
        differs = found.astype(golden.dtype) != golden
        largest, error = float(differs.any()), float(differs.mean()) if differs.size else 0.0
    return {
        "name": tensor.name,
        "max_abs_error": largest if np.isfinite(largest) else None,
        "error": error if np.isfinite(error) else None,
        "tolerance": tolerance,
        "passed": bool(error <= tolerance),  # NaN compares false
    }


def _float_error(found: Any, golden: Any) -> Tuple[float, float]:
    same = (found == golden) | (np.isnan(found) & np.isnan(golden))  # infinities and NaN where they belong
    if same.all():
        return 0.0, 0.0
    finite = golden[np.isfinite(golden)]
    magnitude = float(np.abs(finite).max()) if finite.size else 0.0
    spread = float(finite.max() - finite.min()) if finite.size else 0.0
    largest = float(np.abs(found - golden)[~same].max())
    return largest, largest / ((magnitude if spread < CONSTANT_SHARE * magnitude else spread) or 1.0)
