"""`Checkpoint`: the state of a training in a file, from which an interrupted one continues; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgec.errors import BadOption
from edgec.recovery.pytorch import Tensor, pytorch
from edgec.whole_file import whole_file

torch = pytorch()
Array = np.ndarray[Any, Any]
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class State:
    """How far a training is.

    Attributes:
        epoch: Number of finished epochs.
        seconds: Time spent on them.
        best: Lowest held-out loss.
        best_epoch: Epoch after which it was measured; 0: before the training.
        weights: The constants that gave it.
    """

    epoch: int = 0
    seconds: float = 0.0
    best: float = float("inf")
    best_epoch: int = 0
    weights: dict[str, Array] = field(default_factory=dict)


def write(path: Path, state: State, parameters: Mapping[str, Tensor], optimizer: Any) -> None:
    """Write the state, the constants and the optimizer's moments; raises BadOption if the file cannot be written."""
    numbers = [state.epoch, state.seconds, state.best, state.best_epoch]
    arrays = {"state": np.array(numbers, np.float64)}
    for name, parameter in parameters.items():
        arrays[f"now/{name}"] = parameter.detach().cpu().numpy()
        arrays[f"best/{name}"] = state.weights[name]
        moments = optimizer.state[parameter]
        for key in MOMENTS:
            arrays[f"{key}/{name}"] = moments[key].cpu().numpy()
        arrays[f"step/{name}"] = np.array(float(moments["step"]))
    with whole_file(path) as staged, staged.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read(path: Path, parameters: Mapping[str, Tensor], optimizer: Any) -> State:
    """Return the state in `path`, and set the constants and the optimizer's moments to it.

    Raises:
        BadOption: The file is not such a checkpoint.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            epoch, seconds, best, best_epoch = file["state"].tolist()
            weights = {name: file[f"best/{name}"] for name in parameters}
            with torch.no_grad():
                for name, parameter in parameters.items():
                    parameter.copy_(torch.from_numpy(file[f"now/{name}"]))
                    moments = {key: torch.from_numpy(file[f"{key}/{name}"]).to(parameter) for key in MOMENTS}
                    step = torch.tensor(float(file[f"step/{name}"]))
                    optimizer.state[parameter] = {"step": step, **moments}
    except Exception as error:  # a file of any content
        problem = f"{path} is not a checkpoint of this recovery: {error}"
        raise BadOption(problem, remedy="Remove the file; the recovery then begins anew.") from error
    return State(int(epoch), seconds, best, int(best_epoch), weights)
