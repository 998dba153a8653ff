"""`Recurrence`: the parameters of a recurrent layer (LSTM, GRU, RNN), read from its attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import onnx_ir as ir
from pydantic import BaseModel, ConfigDict

from edgec.model.graph import attribute

RECURRENCE = "edgec.recurrence"
"""Name of the Relax operator that computes a `Recurrence`: see `relax_recurrence`."""
Kind = Literal["LSTM", "GRU", "RNN"]
GATES: dict[str, int] = {"LSTM": 4, "GRU": 3, "RNN": 1}
"""Number of gates; W and R have this many times the hidden size rows: i, o, f, c of an LSTM, z, r, h of a GRU."""
DEFAULTS: dict[str, tuple[str, ...]] = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}
PARAMETERS: dict[str, tuple[float, ...]] = {
    "Affine": (0.0, 0.0),
    "LeakyRelu": (0.01,),
    "ThresholdedRelu": (0.0,),
    "ScaledTanh": (0.0, 0.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0,),
}
"""Default values of alpha and, if the activation has it, beta, as in ONNX Runtime."""

PADDED_TO = 8
"""Columns of a gate are padded to a multiple of this, so that CPUs read them in whole vectors."""


class Activation(BaseModel):
    """Activation function of a gate, by its ONNX name; only some of them use `alpha` and `beta`."""

    model_config = ConfigDict(frozen=True)

    name: str
    alpha: float = 0.0
    beta: float = 0.0


class Recurrence(BaseModel):
    """The steps of a recurrent layer, from the sums over its inputs (W x + biases) to its states.

    Tensors are as ONNX names them, with batch second: X [steps, batch, inputs], Y [steps, directions, batch, hidden],
    states [directions, batch, hidden].
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    steps: int
    batch: int
    hidden: int
    columns: int
    """Number of columns per gate in the sums over the inputs: `hidden`, and padding columns that are 0."""
    backward: tuple[bool, ...]
    """For each direction, whether it begins with the last step."""
    activations: tuple[tuple[Activation, ...], ...]
    """For each direction: the activations of the gates, of the candidate and, of an LSTM, of the cell's output."""
    clip: float | None
    """Inputs of the activations of gates and candidate are clipped to [-clip, clip]."""
    coupled: bool
    """Whether an LSTM's forget gate is 1 - input gate."""
    reset_after: bool
    """Whether a GRU's reset gate scales the product of weights and state, rather than the state."""

    @property
    def gates(self) -> int:
        """Number of gates, including the candidate."""
        return GATES[self.kind]

    @property
    def directions(self) -> int:
        """2 if the layer is bidirectional, otherwise 1."""
        return len(self.backward)


def recurrence(node: ir.Node) -> Recurrence:
    """Return the parameters of `node`, a time-major LSTM, GRU or RNN with static shapes."""
    x = node.inputs[0]
    assert x is not None and x.shape is not None
    steps, batch, _ = x.shape.numpy()
    direction = attribute(node, "direction", "forward")
    backward = {"forward": (False,), "reverse": (True,)}.get(direction, (False, True))
    each = tuple(_activations(node, len(backward)))
    count = len(each) // len(backward)
    clip = attribute(node, "clip", 0.0)
    return Recurrence(
        kind=node.op_type,
        steps=steps,
        batch=batch,
        hidden=hidden_size(node),
        columns=-(-hidden_size(node) // PADDED_TO) * PADDED_TO,
        backward=backward,
        activations=tuple(each[at : at + count] for at in range(0, len(each), count)),
        clip=clip if clip > 0.0 else None,
        coupled=bool(attribute(node, "input_forget", 0)),
        reset_after=bool(attribute(node, "linear_before_reset", 0)),
    )


def hidden_size(node: ir.Node) -> int:
    """Return the hidden size of a recurrent layer: the attribute, or the last axis of R."""
    given = attribute(node, "hidden_size")
    r = node.inputs[2]
    assert given is not None or (r is not None and r.shape is not None)
    return int(given) if given is not None else int(r.shape[2])  # type: ignore[union-attr,index,arg-type]


def _activations(node: ir.Node, directions: int) -> Iterator[Activation]:
    """Yield the activations of all directions; each takes as many of the next values of alpha and beta as it uses."""
    names = attribute(node, "activations") or DEFAULTS[node.op_type] * directions
    alphas, betas = (list(attribute(node, f"activation_{name}", ())) for name in ("alpha", "beta"))
    for name in names:
        values = [
            given.pop(0) if given else default
            for given, default in zip((alphas, betas), PARAMETERS.get(name, ()), strict=False)
        ]
        yield Activation(name=name, **dict(zip(("alpha", "beta"), values, strict=False)))
