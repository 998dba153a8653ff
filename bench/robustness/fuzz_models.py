"""Random networks with one to three things altered, through the commands that take a model.

python bench/robustness/fuzz_models.py [--kinds inspect,check,prune-altered,...] [--cases 1000]

They are damaged anyhow, and most are refused at once. For kinds that end in `-altered`, those of odd numbers are
changed such that the loader takes them, so that they reach the passes, and those for `quantize` and `prune` are made of
what is in vision networks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import campaign
import numpy as np
import onnx
from case import Outcome, apart, command

from edgec.errors import EdgecError
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.reference.golden import golden_inputs
from tests.support.hostile.altered import altered_model
from tests.support.hostile.mutate import mutated_model
from tests.support.random_graphs.blocks import BLOCKS, conv_norm_act
from tests.support.random_graphs.graph import by_seed
from tests.support.random_graphs.grow import ALL, random_graph

SAMPLES = 3
TRIES = 6
"""Alterations until there is one that the loader takes."""
OF_LAYERS = (*BLOCKS, *[conv_norm_act] * 12)
COMMANDS = {
    "inspect": ("inspect", "MODEL"),
    "check": ("check", "MODEL", "--target", "rpi4"),
    "check-jetson": ("check", "MODEL", "--target", "jetson-orin-nano"),
    "compile": ("compile", "MODEL", "--target", "host", "-o", "OUT", "-q", "--no-cache"),
    "compile-jetson": ("compile", "MODEL", "--target", "jetson-orin-nano", "-o", "OUT", "-q"),
    "quantize": ("quantize", "MODEL", "--data", "DATA.npz", "-o", "OUT.onnx", "-q"),
    "prune": ("prune", "MODEL", "--data", "DATA.npz", "--ratio", "0.3", "-o", "OUT.onnx", "-q"),
}


def run(seed: int, folder: str, name: str, *, altered: bool = False) -> Outcome:
    """Run one command on the network of `seed`."""
    model = Path(folder) / "model.onnx"
    layers = altered and name in ("quantize", "prune")
    try:
        network = random_graph(by_seed(seed), operators=OF_LAYERS if layers else ALL)
    except Exception as error:  # ONNX Runtime fails at some valid ones
        return Outcome("no network", str(error))
    accepted = altered and seed % 2 == 1
    given = _altered(network, seed) if accepted else network
    model.write_bytes(given.SerializeToString() if accepted else mutated_model(network, seed))
    data = Path(folder) / "data.npz"
    inputs = [golden_inputs(inputs_of(fix_shapes(load(given).model, {})), seed) for seed in range(SAMPLES)]
    np.savez(data, **{name: np.concatenate([np.atleast_1d(each[name]) for each in inputs]) for name in inputs[0]})
    places = {"DATA.npz": data, "MODEL": model, "OUT": Path(folder) / "out", "OUT.onnx": Path(folder) / "out.onnx"}
    return command(*(places.get(word, word) for word in COMMANDS[name]))


def _altered(network: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Return `network` with something altered that the loader takes; as it is where nothing is found."""
    for place in range(TRIES):
        changed = altered_model(network, seed * TRIES + place)
        try:
            inputs_of(fix_shapes(load(changed).model, {}))
        except EdgecError:
            continue
        return changed
    return network


def cases(seeds: Iterable[int], name: str, *, altered: bool) -> Iterator[tuple[int, Outcome]]:
    """Yield how the command `name` ends."""
    with tempfile.TemporaryDirectory() as folder:
        yield from apart(run, seeds, folder=folder, name=name, altered=altered)


KINDS = {
    f"{name}{'-altered' * altered}": partial(cases, name=name, altered=altered)
    for altered in (False, True)
    for name in COMMANDS
}

if __name__ == "__main__":
    campaign.run(__doc__, KINDS, 1000)
