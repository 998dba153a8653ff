"""Compares the engine's outputs with the golden ones."""

from typing import Any, Dict, List, Tuple

import numpy as np

from .failure import Failure
from .session import Session
from .settings import COPY_AGAIN, Settings, Tensor

CONSTANT_SHARE = 1e-3  # outputs whose range is a smaller fraction of their magnitude count as constant


def verify(session: Session, settings: Settings) -> List[Dict[str, Any]]:
    """Run the golden inputs and return, per output, name, max_abs_error, error, tolerance and passed: the worst of all.

    `error` of float outputs is max|a - b| relative to the range (max - min) of the golden output, or to its magnitude
    if it is nearly constant; for integer and boolean outputs it is the fraction of elements that differ. Elements of
    ranked rows are compared in ascending order, because two rows with nearly equal scores may be swapped.

    Raises:
        Failure: A golden file is missing, damaged or of another shape.
    """
    worst: Dict[str, Dict[str, Any]] = {}
    for sample in range(len(settings.outputs[0].golden)):
        for tensor, buffer in zip(settings.inputs, session.inputs):
            buffer.host[...] = read_golden(tensor, sample).astype(buffer.host.dtype)
        session.run()
        for tensor, buffer in zip(settings.outputs, session.outputs):
            found = _compare(tensor, buffer.host, read_golden(tensor, sample))
            if tensor.name not in worst or _badness(found) > _badness(worst[tensor.name]):
                worst[tensor.name] = found
    return [worst[tensor.name] for tensor in settings.outputs]


def _badness(compared: Dict[str, Any]) -> float:
    return float("inf") if compared["error"] is None else float(compared["error"])


def read_golden(tensor: Tensor, sample: int = 0) -> Any:
    """Return the golden values of `tensor`.

    Raises:
        Failure: The file is missing, is not a .npy file, or has another shape than the manifest says.
    """
    path = tensor.golden[sample]
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Failure("golden data {}: {}. {}".format(path, error, COPY_AGAIN)) from error
    if values.shape != tensor.shape:
        raise Failure(
            "golden data {}: shape {}, the manifest: {}. {}".format(path, values.shape, tensor.shape, COPY_AGAIN)
        )
    return values


def _compare(tensor: Tensor, found: Any, golden: Any) -> Dict[str, Any]:
    if tensor.ranked:
        found, golden = np.sort(found, axis=None), np.sort(golden, axis=None)
    if golden.dtype.kind == "f":
        largest, error = _float_error(found.astype(np.float64), golden.astype(np.float64))
    else:
        differs = found.astype(golden.dtype) != golden
        largest, error = float(differs.any()), float(differs.mean()) if differs.size else 0.0
    return {
        "name": tensor.name,
        "max_abs_error": largest if np.isfinite(largest) else None,
        "error": error if np.isfinite(error) else None,
        "tolerance": tensor.accepted,
        "passed": bool(error <= tensor.accepted),  # NaN gives False
    }


def _float_error(found: Any, golden: Any) -> Tuple[float, float]:
    same = (found == golden) | (np.isnan(found) & np.isnan(golden))  # expected infinities and NaN
    if same.all():
        return 0.0, 0.0
    finite = golden[np.isfinite(golden)]
    magnitude = float(np.abs(finite).max()) if finite.size else 0.0
    spread = float(finite.max() - finite.min()) if finite.size else 0.0
    largest = float(np.abs(found - golden)[~same].max())
    return largest, largest / ((magnitude if spread < CONSTANT_SHARE * magnitude else spread) or 1.0)
