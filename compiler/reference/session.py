"""Runs a model in ONNX Runtime, as written, and optionally returns values inside it."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import BadModel, BadOption, CannotRunInputs, EdgecError, UnsupportedModel
from edgec.limits import max_memory, size_text
from edgec.model import serialize
from edgec.model.time_major import is_batch_first, to_time_major
from edgec.model.traits import INTEGER_LAYERS
from edgec.model.true_sizes import TrueSizes, true_sizes
from edgec.reference.onnx_runtime import ort, session_options
from edgec.registry import suggest
from edgec.scratch import temporary_folder

Array = np.ndarray[Any, Any]

NEWEST_SAFE_IR_VERSION = 10
"""ONNX Runtime refuses file formats newer than its own release; nothing it needs was added after this version."""
NO_KERNEL = re.compile(r"implementation for (?P<op>[\w.:]+)\(\d+\) node with name '(?P<node>[^']*)'")
NOT_REGISTERED = re.compile(r"(?P<op>[\w.:]+)\(-?\d+\) is not a registered function/op")
FAILED_NODE = re.compile(r"while running (?P<op>[\w.]+) node\. Name:'(?P<node>[^']*)' Status Message: ")
SOURCE_PLACE = re.compile(r"^/\S+:\d+ (.*? was false\. |.*?\) )?")
"""Place in ONNX Runtime's own source code at which it failed."""
BEYOND_MEMORY = re.compile(r"(?:smaller than requested bytes of|requested buffer of size) (\d+)")
TERMINATED = "terminate flag"
LOOP_SECONDS = 60
"""Maximum time of a network with loops, as only loops can run without end."""
LOOPS = frozenset({"Loop", "Scan"})

EXACT_INTEGERS = {"session.x64quantprecision": "1", "session.disable_quant_qdq": "1"}
"""Makes ONNX Runtime compute integer layers exactly: otherwise their sums saturate on x86 CPUs without VNNI.

Layers between QuantizeLinear and DequantizeLinear stay in float, as written. With the first option alone, ONNX Runtime
gives a DequantizeLinear without zero point a scalar one, and then refuses it if scales are per-channel.
"""


class Reference:
    """A model in ONNX Runtime on this machine's CPU.

    Args:
        model: The model, or the contents of an ONNX file. It is not modified.
        taps: Names of inner values that `run` returns besides the outputs; only for an `ir.Model`.
        threads: Number of threads per operator; None: ONNX Runtime decides.
        optimize: Let ONNX Runtime rewrite the graph. Off by default, so that the model runs as written.

    Raises:
        UnsupportedModel: ONNX Runtime has no implementation of an operator; the message names operator and node.
        BadModel: ONNX Runtime rejects the model.
        BadOption: A tap is not a value of the model.
    """

    def __init__(
        self,
        model: ir.Model | bytes,
        taps: Sequence[str] = (),
        *,
        threads: int | None = None,
        optimize: bool = False,
    ) -> None:
        options = session_options()
        for key, value in EXACT_INTEGERS.items():
            options.add_session_config_entry(key, value)
        options.intra_op_num_threads = threads or 0
        levels = ort.GraphOptimizationLevel
        plain = levels.ORT_ENABLE_EXTENDED if _has_integer_layers(model) else levels.ORT_DISABLE_ALL
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else plain
        self._sizes = TrueSizes()
        if isinstance(model, bytes):
            self._session, self._may_loop = _open(model, options), True
        else:
            self._sizes = true_sizes(model)
            self._session = _open_ir(_tapped(model, taps), options)
            self._may_loop = any(node.op_type in LOOPS for node in model.graph.all_nodes())
        self.input_names = tuple(value.name for value in self._session.get_inputs())
        self._results = tuple(value.name for value in self._session.get_outputs())
        self.output_names = tuple(name for name in self._results if name not in self._sizes.counts)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference: input name -> array in, output (and tap) name -> array out.

        Outputs of a model with bounded sizes are cut to their true sizes.

        Raises:
            BadOption: An input is missing, unknown, or has the wrong shape or dtype.
            BadModel: A node fails, or a loop does not end; the message names operator and node.
            UnsupportedModel: The inference takes more than the memory limit.
        """
        for name in feeds:
            if name not in self.input_names:
                raise BadOption(f"the model has no input {name!r}", remedy=suggest(name, self.input_names))
        missing = [name for name in self.input_names if name not in feeds]
        if missing:
            raise BadOption(f"input {missing[0]!r} is missing", remedy="Give an array for every input.")
        options = ort.RunOptions()
        watchdog = threading.Timer(LOOP_SECONDS, setattr, (options, "terminate", True)) if self._may_loop else None
        if watchdog is not None:
            watchdog.daemon = True
            watchdog.start()
        try:
            results: Sequence[Any] = self._session.run(None, dict(feeds), options)
        except Exception as error:  # see _open
            raise _run_error(error) from error
        finally:
            if watchdog is not None:
                watchdog.cancel()
        return self._sizes.trim(dict(zip(self._results, results, strict=True)))


def _tapped(model: ir.Model, taps: Sequence[str]) -> ir.Model:
    tapped = model.clone()
    # No kernel depends on the version of the file format, but ONNX Runtime refuses versions it does not know.
    tapped.ir_version = min(tapped.ir_version, NEWEST_SAFE_IR_VERSION)
    for node in list(tapped.graph.all_nodes()):
        node.name = node.name or node.outputs[0].name  # for error messages
        if is_batch_first(node):
            to_time_major(node)
    values = {output.name or "": output for node in tapped.graph for output in node.outputs}
    outputs = {value.name for value in tapped.graph.outputs}
    for name in dict.fromkeys(taps):
        if name not in values:
            raise BadOption(f"the model computes no value {name!r}", remedy=suggest(name, values))
        if name not in outputs:
            tapped.graph.outputs.append(values[name])
    return tapped


def _has_integer_layers(model: ir.Model | bytes) -> bool:
    if isinstance(model, bytes):
        return any(name.encode() in model for name in INTEGER_LAYERS)
    return any(node.op_type in INTEGER_LAYERS for node in model.graph.all_nodes())


def _open_ir(model: ir.Model, options: ort.SessionOptions) -> ort.InferenceSession:
    if serialize.fits_one_file(model):
        return _open(serialize.to_bytes(model), options)
    with temporary_folder() as folder:
        path = folder / "model.onnx"
        serialize.save(model, path)
        return _open(str(path), options)


def _open(model: bytes | str, options: ort.SessionOptions) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no other common base class
        message = _message(error)
        beyond = BEYOND_MEMORY.search(message)
        if beyond is not None:
            raise _beyond_memory(int(beyond[1]), "the model") from error
        match = NO_KERNEL.search(message) or NOT_REGISTERED.search(message)
        if match is None:
            raise BadModel(f"ONNX Runtime rejects the model: {message}") from error
        node = match.groupdict().get("node")
        raise UnsupportedModel(
            f"ONNX Runtime cannot run {match['op']}" + (f" (node {node!r})" if node else "") + f": {message}",
            remedy="Export the model with standard ONNX operators.",
        ) from error


def _run_error(error: Exception) -> EdgecError:
    """Return the error for a run that failed: the feeds do not fit, or a node cannot compute its result."""
    message = _message(error)
    nodes = list(FAILED_NODE.finditer(message))
    beyond = BEYOND_MEMORY.search(message)
    if beyond is not None:
        return _beyond_memory(int(beyond[1]), f"{nodes[-1]['op']} node {nodes[-1]['node']!r}" if nodes else "the model")
    if not nodes:
        if isinstance(error, ort.capi.onnxruntime_pybind11_state.InvalidArgument):
            return BadOption(f"wrong input: {message}", remedy="`edgec inspect` lists the inputs.")
        return BadModel(f"ONNX Runtime cannot run the model: {message}")
    outer, inner = nodes[0], nodes[-1]
    where = " ".join(filter(None, [inner["op"], "node", inner["node"] and repr(inner["node"])]))
    if TERMINATED in message:
        where = " ".join(filter(None, [outer["op"], "node", outer["node"] and repr(outer["node"])]))
        return BadModel(
            f"ONNX Runtime had not finished {where} after {LOOP_SECONDS} seconds",
            remedy="Export the model with loops that end, or without loops.",
        )
    reason = SOURCE_PLACE.sub("", message[inner.end() :]).strip()
    return CannotRunInputs(
        f"ONNX Runtime cannot run {where}: {reason}",
        remedy="The node may not support these shapes (--shape) or these values (--input).",
    )


def _beyond_memory(size: int, where: str) -> UnsupportedModel:
    limit = max_memory()
    return UnsupportedModel(
        f"ONNX Runtime needs {size_text(size)} more for {where}, which is beyond the memory limit of "
        f"{size_text(limit)} for all tensors",
        remedy=f"If this size is right, raise the limit: --max-memory {size_text(limit + size, whole=True)} or more.",
    )


def _message(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
