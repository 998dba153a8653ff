"""`recover`: trains a pruned or quantized network to give the original's outputs again, without labels."""

from __future__ import annotations

import hashlib
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from typing_extensions import Unpack

from edgec.api.opened import Shapes, open_network, path_of
from edgec.compress.tasks import open_task
from edgec.data.kept import KeptSamples
from edgec.data.samples import AnySamples, fingerprint
from edgec.errors import BadOption
from edgec.measuring import Measuring, MeasuringFields, take_measuring
from edgec.model.load import Source, load
from edgec.model.serialize import sha256
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.model.traits import QUANTIZERS
from edgec.progress import Listener, Reporter
from edgec.recovering import RecoverFields, RecoverOptions
from edgec.validation import validated

if TYPE_CHECKING:
    from edgec.recovery.recover import Recovered

CODES = "_packed"
"""End of the names of weights that edgec stores as codes."""


class Fields(RecoverFields, MeasuringFields, total=False):
    """Options that `recover` takes by name."""


def recover(
    model: Source,
    original: Source,
    *,
    measuring: Measuring | None = None,
    shapes: Shapes | None = None,
    keep: str | os.PathLike[str] | None = None,
    progress: Listener | None = None,
    **options: Unpack[Fields],
) -> Recovered:
    """Train the weights of `model`, and the steps of its quantization, so that its outputs are those of `original`.

    Args:
        model: Pruned or quantized network: path of an ONNX file, its bytes, or a model in memory (not modified).
        original: The network it was made from.
        measuring: Pictures; labels are not used. A fifth of the pictures is held out and decides what is kept.
        shapes: Shapes of inputs that the models leave open.
        keep: File beside which the state of the training is kept until it ends; an interrupted one continues from it.
        progress: Called with each epoch and the held-out loss.
        options: Fields of `RecoverOptions`: epochs, seconds, rate ...; and those of `Measuring`.

    Returns:
        The network, `.model` or `.save("recovered.onnx")`, never worse on the held-out pictures than `model`.

    Raises:
        MissingDependency: PyTorch is not installed.
        EdgecError: The user can correct the problem; the message says how.
    """
    recovery: Any = import_module("edgec.recovery.recover")  # first, because it may be missing
    given: dict[str, Any] = dict(options)
    measuring = take_measuring(given, measuring)
    settings = validated(RecoverOptions, given, "recover")
    report = Reporter(progress)
    report.stage("load")
    network, before = _opened(model, shapes), fix_shapes(load(original).model, dict(shapes or {}))
    _check_inputs(network, before)
    task = open_task(measuring, network, path_of(model))
    samples = KeptSamples(task.samples)
    kept = None if keep is None else _checkpoint(Path(keep), network, before, samples, settings)
    result: Recovered = recovery.recover_model(network, before, samples, settings, report=report, kept=kept)
    if kept is not None:
        kept.unlink(missing_ok=True)
    return result


def _opened(model: Source, shapes: Shapes | None) -> ir.Model:
    """Return the network as it is if it has stored weights or Q/DQ pairs, because the canonical form decodes them."""
    network = fix_shapes(load(model).model, dict(shapes or {}))
    quantized = any(node.op_type in QUANTIZERS for node in network.graph)
    if quantized or any(name.endswith(CODES) for name in network.graph.initializers):
        return network
    return open_network(network, None)


def _check_inputs(network: ir.Model, original: ir.Model) -> None:
    ours, theirs = ({spec.name: tuple(spec.shape) for spec in inputs_of(each)} for each in (network, original))
    if ours != theirs:
        problem = f"the network takes {ours}, the original {theirs}"
        raise BadOption(problem, remedy="Give the network that this one was made from, and --shape for both.")


def _checkpoint(
    output: Path, network: ir.Model, original: ir.Model, samples: AnySamples, settings: RecoverOptions
) -> Path:
    """Return the file for the state of exactly this training."""
    digest = hashlib.sha256((sha256(network) + sha256(original) + settings.model_dump_json()).encode())
    digest.update(f"{len(samples)}{fingerprint(samples[0])}".encode())
    return output.with_name(f"{output.name}.{digest.hexdigest()[:8]}.recovery.npz")
