"""The golden data of an artefact, as .npy files: inputs, reference outputs, sketches of inner values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from edgec.artefact.manifest import InnerValue, Port
from edgec.errors import BadArtefact, BadOption, reason
from edgec.model.signature import TensorSpec, check_array, inputs_of, outputs_of
from edgec.model.true_sizes import true_sizes
from edgec.reference.compare import NOISE_FACTOR
from edgec.reference.expectation import Expectation

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]

INNER = "golden/inner"


class Golden(NamedTuple):
    """What the manifest stores about golden data."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    counts: tuple[str, ...]
    inner: tuple[InnerValue, ...]
    precision_error: float | None


def write_golden(folder: Path, model: ir.Model, expected: Expectation, tolerance: float, picture_layout: str) -> Golden:
    """Write the expected results of an artefact of `model` into its `folder`.

    Each output gets its accepted error: `tolerance`, 0 for integers, or the noise of the reference.
    """
    inputs = [
        _write(folder, "inputs", index, spec, expected.inputs, picture_layout)
        for index, spec in enumerate(inputs_of(model))
    ]
    sizes, outputs = true_sizes(model), []
    for index, spec in enumerate(spec for spec in outputs_of(model) if spec.name not in sizes.counts):
        port, noise = _write(folder, "outputs", index, spec, expected.outputs, "NCHW"), expected.noise[spec.name]
        axes = sizes.axes.get(spec.name, {})
        at = tuple(sizes.counts.index(axes[axis]) if axis in axes else -1 for axis in range(len(spec.shape)))
        least = tolerance if np.dtype(spec.dtype).kind not in "biu" else 0.0
        accepted, rows = max(least, NOISE_FACTOR * noise.largest), expected.rows.get(spec.name)
        outputs.append(
            port.model_copy(update={"sizes": at if axes else (), "noise": noise, "accepted": accepted, "rows": rows})
        )
    inner = _write_inner(folder, expected)
    return Golden(tuple(inputs), tuple(outputs), sizes.counts, inner, expected.precision_error)


def _write_inner(folder: Path, expected: Expectation) -> tuple[InnerValue, ...]:
    """Write the sketches of inner values, one file per sample."""
    names = list(expected.inner[0]) if expected.inner else []
    if names:
        (folder / INNER).mkdir(parents=True)
    for number, sketches in enumerate(expected.inner if names else ()):
        np.save(folder / INNER / f"{number}.npy", np.concatenate([sketches[name] for name in names]))
    return tuple(
        InnerValue(name=name, elements=len(expected.inner[0][name]), noise=expected.noise[name]) for name in names
    )


def read_samples(folder: Path, ports: Sequence[Port]) -> list[dict[str, Array]]:
    """Return the golden data of `ports`, name -> array, one mapping per sample.

    Raises:
        BadArtefact: A file is missing, damaged or does not fit.
    """
    counts = {len(port.samples) for port in ports}
    if len(counts) > 1:
        raise BadArtefact(f"{folder}: inputs or outputs differ in their golden samples", remedy="Compile again.")
    return [
        {port.name: _read(folder, port.samples[number], port.spec_of) for port in ports}
        for number in range(max(counts, default=0))
    ]


def read_inner(folder: Path, values: Sequence[InnerValue], samples: int) -> list[dict[str, Array]]:
    """Return the sketches of `values`, name -> array, one mapping per sample.

    Raises:
        BadArtefact: A file is missing, damaged or does not fit.
    """
    ends = np.cumsum([value.elements for value in values])
    whole = TensorSpec(name=INNER, shape=(int(ends[-1]) if values else 0,), dtype="float32")
    found = []
    for number in range(samples if values else 0):
        parts = np.split(_read(folder, f"{INNER}/{number}.npy", lambda _: whole), ends[:-1])
        found.append({value.name: part for value, part in zip(values, parts, strict=True)})
    return found


def _write(folder: Path, kind: str, index: int, spec: TensorSpec, samples: Sequence[Arrays], layout: str) -> Port:
    paths = []
    for number, arrays in enumerate(samples):
        path = f"golden/{number}/{kind}/{index}.npy" if number else f"golden/{kind}/{index}.npy"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / path, np.array(arrays[spec.name], order="C"))
        paths.append(path)
    layout = layout if len(spec.shape) == PICTURE_RANK else ""
    return Port(**spec.model_dump(), layout=layout, golden=paths[0], more=tuple(paths[1:]))


PICTURE_RANK = 4


def _read(folder: Path, path: str, spec_of: Callable[[Array], TensorSpec]) -> Array:
    try:
        array: Array = np.load(folder / path, allow_pickle=False)
        check_array(array, spec_of(array), path)
    except (OSError, ValueError, EOFError, BadOption) as error:
        raise BadArtefact(f"{folder}: {path}: {reason(error)}", remedy="Compile again.") from error
    return array
