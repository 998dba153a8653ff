"""edgec: deployment compiler for vision networks on edge boards.

artefact = edgec.compile("model.onnx", target="rpi4", shapes={"x": (1, 3, 640, 640)})
outputs = edgec.load("model.host", threads=2).run({"x": picture})
smaller = edgec.prune("model.onnx", measuring=edgec.Measuring("pictures"), target_macs=0.5).model
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgec.artefact.artefact import Artefact, load
    from edgec.compress.measuring import Measuring
    from edgec.compress.pruning import prune, sensitivity
    from edgec.driver import compile
    from edgec.errors import EdgecError
    from edgec.tuning import tune

_HOMES = {
    "Artefact": "edgec.artefact.artefact",
    "EdgecError": "edgec.errors",
    "Measuring": "edgec.compress.measuring",
    "compile": "edgec.driver",
    "load": "edgec.artefact.artefact",
    "prune": "edgec.compress.pruning",
    "sensitivity": "edgec.compress.pruning",
    "tune": "edgec.tuning",
}

__all__ = ["Artefact", "EdgecError", "Measuring", "compile", "load", "prune", "sensitivity", "tune"]


def __getattr__(name: str) -> Any:
    # Resolved on first use: `import edgec` and `edgec --help` stay fast, and work with nothing optional installed.
    if name not in _HOMES:
        raise AttributeError(f"module 'edgec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
