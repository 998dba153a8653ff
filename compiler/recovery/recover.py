"""`recover_model`: trains a changed network until its outputs are the original's again, as far as they can be."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.samples import AnySamples, Samples, split
from edgec.errors import BadOption
from edgec.model.serialize import save
from edgec.progress import Reporter
from edgec.recovering import EPOCHS, RecoverOptions
from edgec.recovery import checkpoint
from edgec.recovery.distance import Distance
from edgec.recovery.network import TorchNetwork
from edgec.recovery.pytorch import Tensor, pytorch
from edgec.reference.session import Reference

torch = pytorch()
Array = np.ndarray[Any, Any]
HELD_OUT = 0.2
"""Fraction of the samples that is not trained on; it decides what is kept."""
WARM_UP = 0.05
"""Fraction of the training in which the rate rises."""
SHIFT = 0.1
"""Largest shift of an augmented picture, as a fraction of its side."""
LEAST_SIZE = 1e-4
"""Smallest mean size of a constant's numbers to which the rate is relative: biases may all be zero."""


@dataclass(frozen=True, eq=False, repr=False)
class Recovered:
    """Result of a recovery.

    Attributes:
        model: The network with trained constants, or as it was if nothing became better.
        before: Held-out loss before, 0 is best; see `Distance`.
        after: Held-out loss of `model`, as ONNX Runtime computes it; never higher.
        epochs: Number of epochs trained.
        held_out: Number of samples that were held out.
    """

    model: ir.Model
    before: float
    after: float
    epochs: int
    held_out: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network as an ONNX file; raises BadOption if it cannot be written."""
        save(self.model, path)

    def __repr__(self) -> str:
        return f"<Recovered: held-out loss {self.before:.4g} to {self.after:.4g}, {self.epochs} epochs>"


def recover_model(
    model: ir.Model,
    original: ir.Model,
    samples: AnySamples,
    options: RecoverOptions,
    *,
    report: Reporter | None = None,
    kept: Path | None = None,
) -> Recovered:
    """Train `model` to give the outputs of `original`, without labels.

    Args:
        model: Pruned or quantized network with static shapes, as edgec wrote it or in canonical form; not modified.
        original: The network it was made from.
        samples: Inputs. A fifth of them is held out.
        options: Length and rate.
        report: Told of each epoch.
        kept: File for the state of the training after each epoch; an interrupted training continues from it.

    Raises:
        BadOption: There are too few samples, or the device is unknown.
        UnsupportedModel: An operator or output cannot be trained; the message names it.
    """
    training, held_out = split(samples, (1 - HELD_OUT, HELD_OUT), options.seed)
    network = TorchNetwork(model, device=_device(options.device))
    teacher = Reference(original, optimize=True)
    expected: list[Mapping[str, Array]] = [teacher.run(sample.inputs) for sample in held_out]
    distance = Distance(model, expected)
    before = _loss(Reference(model).run, held_out, expected, distance)
    trained = Training(network, distance, teacher.run, training, (held_out, expected), options)
    state = trained.run(report or Reporter(), kept)
    if state.best_epoch == 0:
        return Recovered(model, before, before, state.epoch, len(held_out))
    with torch.no_grad():
        for name, parameter in network.parameters.items():
            parameter.copy_(torch.from_numpy(state.weights[name]))
    result = network.write()
    after = _loss(Reference(result).run, held_out, expected, distance)
    if not after < before:  # what PyTorch computes is not quite what is deployed
        return Recovered(model, before, before, state.epoch, len(held_out))
    return Recovered(result, before, after, state.epoch, len(held_out))


def _loss(run: Callable[..., Any], samples: Samples, expected: list[Any], distance: Distance) -> float:
    found = [run(sample.inputs) for sample in samples]
    return _mean(distance, found, expected)


def _mean(distance: Distance, found: list[Mapping[str, Array]], expected: list[Mapping[str, Array]]) -> float:
    pairs = zip(found, expected, strict=True)
    losses = [
        float(distance(*({name: torch.from_numpy(a) for name, a in each.items()} for each in pair))) for pair in pairs
    ]
    return float(np.mean(losses))


class Training:
    """One training of a network; see `recover_model`."""

    def __init__(
        self,
        network: TorchNetwork,
        distance: Distance,
        teacher: Callable[[Mapping[str, Array]], Mapping[str, Array]],
        training: Samples,
        held_out: tuple[Samples, list[Mapping[str, Array]]],
        options: RecoverOptions,
    ) -> None:
        self._network, self._distance, self._teacher = network, distance, teacher
        self._training, self._options = training, options
        self._held_out = held_out[0]
        self._expected = [self._tensors(outputs) for outputs in held_out[1]]
        groups = []
        for parameter in network.parameters.values():
            size = max(float(parameter.detach().abs().mean()), LEAST_SIZE)
            groups.append({"params": [parameter], "lr": options.rate * size, "peak": options.rate * size})
        if not groups:
            raise BadOption("the network has no weights to train")
        self._optimizer = torch.optim.Adam(groups)

    def run(self, report: Reporter, kept: Path | None) -> checkpoint.State:
        """Train until the time or the epochs are spent, or nothing becomes better any more."""
        options, parameters = self._options, self._network.parameters
        epochs = options.epochs or (EPOCHS if options.seconds is None else 0)
        state = checkpoint.State()
        if kept is not None and kept.exists():
            state = checkpoint.read(kept, parameters, self._optimizer)
        else:
            state.best = self.held_out_loss()
            state.weights = self._weights()
        start = time.monotonic() - state.seconds

        def share(done: float) -> float:
            spent = (time.monotonic() - start) / options.seconds if options.seconds else 0.0
            return max(spent, (state.epoch + done) / epochs if epochs else 0.0)

        while share(0) < 1 and state.epoch - state.best_epoch < options.patience:
            left = f", {epochs} epochs" if epochs else f", {share(0):.0%} of the time"
            report.stage(f"epoch {state.epoch + 1}{left}: held-out loss {state.best:.4g}")
            self._epoch(state.epoch, share)
            state.epoch += 1
            loss = self.held_out_loss()
            if loss < state.best:
                state.best, state.best_epoch, state.weights = loss, state.epoch, self._weights()
            state.seconds = time.monotonic() - start
            if kept is not None:
                checkpoint.write(kept, state, parameters, self._optimizer)
        return state

    def held_out_loss(self) -> float:
        """Return the mean loss on the samples that are held out."""
        losses = []
        with torch.no_grad():
            for sample, wanted in zip(self._held_out, self._expected, strict=True):
                losses.append(float(self._distance(self._network.run(self._tensors(sample.inputs)), wanted)))
        return float(np.mean(losses))

    def _epoch(self, number: int, share: Callable[[float], float]) -> None:
        rng = np.random.default_rng((self._options.seed, number))
        order = rng.permutation(len(self._training))
        for start in range(0, len(order), self._options.batch):
            done = share(start / len(order))
            if done >= 1:
                return
            for group in self._optimizer.param_groups:
                group["lr"] = group["peak"] * _rate(done)
            self._step([self._training[index].inputs for index in order[start : start + self._options.batch]], rng)

    def _step(self, batch: list[Mapping[str, Array]], rng: np.random.Generator) -> None:
        self._optimizer.zero_grad()
        for inputs in batch:
            feeds = _changed(inputs, rng) if self._options.augment else inputs
            found = self._network.run(self._tensors(feeds))
            loss = self._distance(found, self._tensors(self._teacher(feeds))) / len(batch)
            if math.isfinite(float(loss.detach())):
                loss.backward()
        parameters = self._network.parameters.values()
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._optimizer.step()

    def _weights(self) -> dict[str, Array]:
        return {name: value.detach().cpu().numpy().copy() for name, value in self._network.parameters.items()}

    def _tensors(self, arrays: Mapping[str, Array]) -> dict[str, Tensor]:
        return {name: self._network.tensor(array) for name, array in arrays.items()}


def _rate(done: float) -> float:
    """Return the fraction of the peak rate: it rises at first, then falls as a cosine."""
    return min(done / WARM_UP, 1.0) * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2) if done else 0.01


def _changed(inputs: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Return pictures (float, NCHW) mirrored or not, and shifted; what leaves on one side returns on the other."""
    changed = dict(inputs)
    for name, array in inputs.items():
        if array.ndim == 4 and array.dtype.kind == "f" and array.shape[1] in (1, 3):
            shift = [int(rng.integers(-int(side * SHIFT), int(side * SHIFT) + 1)) for side in array.shape[2:]]
            moved = np.roll(array, shift, axis=(2, 3))
            changed[name] = np.ascontiguousarray(moved[..., ::-1] if rng.integers(2) else moved)
    return changed


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted not in ("cpu", "cuda") or (wanted == "cuda" and not torch.cuda.is_available()):
        raise BadOption(f"device {wanted!r} is not there", remedy="Give auto or cpu.")
    return wanted
