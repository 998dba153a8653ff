"""edgec: deployment compiler for vision networks on edge boards.

artefact = edgec.compile("model.onnx", target="rpi4", shapes={"x": (1, 3, 640, 640)})
outputs = edgec.load("model.host", threads=2).run({"x": picture})
smaller = edgec.prune("model.onnx", data="pictures", target_macs=0.5).model

What edgec does is logged under the name `edgec`; nothing is printed unless `logging` is told to.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from edgec.api.calibrate import calibrate
    from edgec.api.check import Legality, check
    from edgec.api.compare import Changes, compare
    from edgec.api.compile import compile
    from edgec.api.evaluate import Evaluation, evaluate
    from edgec.api.explore import explore
    from edgec.api.inspect import Inspection, inspect
    from edgec.api.matrix import matrix
    from edgec.api.matrix_table import Matrix
    from edgec.api.prune import prune
    from edgec.api.quantize import quantize
    from edgec.api.recover import recover
    from edgec.api.sensitivity import sensitivity
    from edgec.api.tune import tune
    from edgec.artefact.artefact import Artefact, load
    from edgec.compress.front import Front
    from edgec.compress.pruner import Pruned
    from edgec.compress.quantization import Quantization
    from edgec.compress.sensitivity_report import SensitivityReport
    from edgec.data.samples import Sample, Samples
    from edgec.errors import EdgecError
    from edgec.measuring import Measuring
    from edgec.options import CompileOptions
    from edgec.preprocessing import Preprocessing
    from edgec.progress import Progress
    from edgec.pruning import PruneOptions
    from edgec.quantization import CalibrationTable
    from edgec.quantizing import QuantizeOptions
    from edgec.report.report import Report

_HOMES = {
    "Artefact": "edgec.artefact.artefact",
    "CalibrationTable": "edgec.quantization",
    "Changes": "edgec.api.compare",
    "CompileOptions": "edgec.options",
    "EdgecError": "edgec.errors",
    "Evaluation": "edgec.api.evaluate",
    "Front": "edgec.compress.front",
    "Inspection": "edgec.api.inspect",
    "Legality": "edgec.api.check",
    "Matrix": "edgec.api.matrix_table",
    "Measuring": "edgec.measuring",
    "Preprocessing": "edgec.preprocessing",
    "Progress": "edgec.progress",
    "PruneOptions": "edgec.pruning",
    "Pruned": "edgec.compress.pruner",
    "Quantization": "edgec.compress.quantization",
    "QuantizeOptions": "edgec.quantizing",
    "Report": "edgec.report.report",
    "Sample": "edgec.data.samples",
    "Samples": "edgec.data.samples",
    "SensitivityReport": "edgec.compress.sensitivity_report",
    "calibrate": "edgec.api.calibrate",
    "check": "edgec.api.check",
    "compare": "edgec.api.compare",
    "compile": "edgec.api.compile",
    "evaluate": "edgec.api.evaluate",
    "explore": "edgec.api.explore",
    "inspect": "edgec.api.inspect",
    "load": "edgec.artefact.artefact",
    "matrix": "edgec.api.matrix",
    "prune": "edgec.api.prune",
    "quantize": "edgec.api.quantize",
    "recover": "edgec.api.recover",
    "sensitivity": "edgec.api.sensitivity",
    "tune": "edgec.api.tune",
}

__all__ = [
    "Artefact",
    "CalibrationTable",
    "Changes",
    "CompileOptions",
    "EdgecError",
    "Evaluation",
    "Front",
    "Inspection",
    "Legality",
    "Matrix",
    "Measuring",
    "Preprocessing",
    "Progress",
    "PruneOptions",
    "Pruned",
    "Quantization",
    "QuantizeOptions",
    "Report",
    "Sample",
    "Samples",
    "SensitivityReport",
    "calibrate",
    "check",
    "compare",
    "compile",
    "evaluate",
    "explore",
    "inspect",
    "load",
    "matrix",
    "prune",
    "quantize",
    "recover",
    "sensitivity",
    "tune",
]

logging.getLogger("edgec").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # Resolved on first use: `import edgec` and `edgec --help` stay fast, and work with nothing optional installed.
    if name == "__version__":
        return import_module("importlib.metadata").version("edgec")  # pyproject.toml is the one place that has it
    if name not in _HOMES:
        raise AttributeError(f"module 'edgec' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    dunders = {name for name in globals() if name.startswith("__")}
    return sorted({"__version__", *dunders, *__all__})
