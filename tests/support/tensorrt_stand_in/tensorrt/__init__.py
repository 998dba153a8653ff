"""A recording stand-in for TensorRT's Python module: the API of 8.2, 8.5 or 10.3, and ONNX Runtime behind it.

Engines run the model, so that verification verifies something. What a version does not have, its stand-in does not
have either. Set by the environment: STAND_IN_VERSION (8.2.1.8, 8.5.2 or 10.3.0), STAND_IN_LOG (file that every call is
written to, one JSON list a line), STAND_IN_FAULT (one of the names that `fault` is asked for below) and
STAND_IN_LAYERS (names of the parsed network's layers, comma between). Runs on Python 3.6, as on the board.
"""

import ctypes
import enum
import json
import os
import signal
import struct
from pathlib import Path

import numpy as np

__version__ = os.environ.get("STAND_IN_VERSION", "8.2.1.8")
VERSION = tuple(map(int, __version__.split(".")[:3]))
NEW = VERSION >= (10,)
BY_NAME = VERSION >= (8, 5)  # 8.5 and 8.6 have both ways to run an engine
MAGIC = b"STANDIN1"


def fault(name):
    return os.environ.get("STAND_IN_FAULT") == name


def record(*call):
    path = os.environ.get("STAND_IN_LOG")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(call) + "\n")


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    INTERNAL_ERROR, ERROR, WARNING = Severity.INTERNAL_ERROR, Severity.ERROR, Severity.WARNING

    def __init__(self):
        pass


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class BuilderFlag(enum.Enum):
    FP16 = 0
    INT8 = 1
    TF32 = 7
    OBEY_PRECISION_CONSTRAINTS = 11


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


if NEW:
    DataType = enum.Enum("DataType", "FLOAT HALF INT8 INT32 INT64 BOOL UINT8")
else:
    DataType = enum.Enum("DataType", "FLOAT HALF INT8 INT32 BOOL")

if not BY_NAME:
    del TensorIOMode
if VERSION < (8, 4):
    del MemoryPoolType

TYPES = {"float32": "FLOAT", "float16": "HALF", "int8": "INT8", "int32": "INT32", "int64": "INT64", "bool": "BOOL"}


def init_libnvinfer_plugins(logger, namespace):
    record("init_libnvinfer_plugins", namespace)
    return True


Dims = list


class ITensor:
    dtype = DataType.FLOAT


class ILayer:
    num_outputs = 1

    def __init__(self, name):
        self.name = name

    precision = property(lambda self: None, lambda self, dtype: record("precision", self.name, dtype.name))

    def get_output(self, index):
        return ITensor()

    def set_output_type(self, index, dtype):
        record("set_output_type", self.name, index, dtype.name)


class INetworkDefinition:
    model = None
    layers = list(filter(None, os.environ.get("STAND_IN_LAYERS", "").split(",")))  # noqa: RUF012
    num_layers = len(layers)

    def get_layer(self, index):
        return ILayer(self.layers[index])


class ParserError:
    def node(self):
        return 3

    def desc(self):
        return "No importer registered for op: Frobnicate"


if NEW:
    ParserError.node_name = lambda self: "frob"
    ParserError.node_operator = lambda self: "Frobnicate"


class OnnxParser:
    def __init__(self, network, logger):
        self._network = network
        self.num_errors = 0

    def parse_from_file(self, path):
        record("parse_from_file", Path(path).name)
        if fault("parser"):
            self.num_errors = 1
            return False
        self._network.model = Path(path).read_bytes()
        return True

    def get_error(self, index):
        return ParserError()


class ITimingCache:
    def __init__(self, content):
        self._content = content

    def serialize(self):
        return memoryview(self._content or b"timings")


class IInt8EntropyCalibrator2:
    """Asks for the cache, and for pictures where its header is not that of this version."""

    _initialized = False

    def __init__(self):
        self._initialized = True

    def ask(self):
        if not self._initialized:
            os.kill(os.getpid(), signal.SIGSEGV)  # as TensorRT does
        header, _, scales = bytes(self.read_calibration_cache()).decode().partition("\n")
        record("calibration_cache", header, scales)
        major, minor, patch = VERSION
        number = major * (10000 if NEW else 1000) + minor * 100 + patch
        if fault("cache refused") or header != f"TRT-{number}-EntropyCalibration2":
            record("get_batch", self.get_batch(["image"]))


class IOptimizationProfile:
    def set_shape(self, name, *shapes):
        record("set_shape", name, *map(list, shapes))


class IBuilderConfig:
    int8_calibrator = None

    def add_optimization_profile(self, profile):
        return -1 if fault("profile") else 0

    def set_flag(self, flag):
        record("set_flag", flag.name)

    def clear_flag(self, flag):
        record("clear_flag", flag.name)

    def create_timing_cache(self, content):
        return ITimingCache(content)

    def set_timing_cache(self, cache, ignore_mismatch):
        if fault("old timing cache") and cache._content:
            return False
        record("set_timing_cache", len(cache._content))
        return True


if VERSION >= (8, 4):
    IBuilderConfig.set_memory_pool_limit = lambda self, pool, size: record("workspace", size >> 20)
if not NEW:
    IBuilderConfig.max_workspace_size = property(lambda self: 0, lambda self, size: record("workspace", size >> 20))


class Builder:
    platform_has_fast_fp16 = True
    platform_has_fast_int8 = os.environ.get("STAND_IN_SM") in ("72", "87")

    def __init__(self, logger):
        self._logger = logger
        self._attempts = 0

    def create_network(self, flags=0):
        record("create_network", flags)
        if not NEW and flags != 1:
            raise RuntimeError("ONNX models need an explicit batch dimension")
        return INetworkDefinition()

    def create_builder_config(self):
        return IBuilderConfig()

    def create_optimization_profile(self):
        return IOptimizationProfile()

    def build_serialized_network(self, network, config):
        self._attempts += 1
        record("build_serialized_network", self._attempts)
        if config.int8_calibrator is not None:
            config.int8_calibrator.ask()
        if fault("unscaled"):
            self._logger.log(ILogger.WARNING, "Missing scale and zero-point for tensor y, expect fall back to non-int8")
        if fault("hang"):
            record("hang", os.getpid())
            signal.pause()
        if fault("interrupted"):
            os.kill(0, signal.SIGINT)  # Ctrl-C: to all processes of the group
        if fault("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if fault("crash"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if fault("out of memory"):
            self._logger.log(
                ILogger.ERROR, "2: [virtualMemoryBuffer.cpp] Error Code 2: OutOfMemory (no further information)"
            )
            return None
        if fault("no tactic") or (fault("small workspace") and self._attempts == 1):
            self._logger.log(ILogger.ERROR, "10: Could not find any implementation for node Conv_7.")
            return None
        if fault("none"):
            self._logger.log(ILogger.ERROR, "4: [network.cpp] Error Code 4: Internal Error")
            return None
        version = __version__.encode()
        return memoryview(MAGIC + struct.pack("<I", len(version)) + version + network.model)


class Runtime:
    def __init__(self, logger):
        self._logger = logger

    def deserialize_cuda_engine(self, plan):
        size = struct.unpack("<I", plan[8:12])[0]
        version = plan[12 : 12 + size].decode()
        if fault("load") or not plan.startswith(MAGIC) or version != __version__:
            self._logger.log(ILogger.ERROR, "1: [stdArchiveReader.cpp] Serialized engine version mismatch")
            return None
        return ICudaEngine(plan[12 + size :])


class ICudaEngine:
    def __init__(self, model):
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime  # noqa: TID251  slow to import, and most tests fail before this

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._session = session
        self._model = model
        self._ports = [(value, True) for value in session.get_inputs()] + [(v, False) for v in session.get_outputs()]

    @property
    def layers(self):
        """The nodes, the last two fused, behind a layer that TensorRT adds."""
        import onnx  # slow to import

        names = [node.name for node in onnx.load_from_string(bytes(self._model)).graph.node]
        joined = " + ".join(names[-2:])
        return ["Reformatting CopyNode for Input Tensor 0 to " + names[0], *names[:-2], joined]

    def create_execution_context(self):
        return None if fault("context") else IExecutionContext(self)

    def _type(self, index):
        return DataType[TYPES[_dtype(self._ports[index][0]).name]]

    def _index(self, name):
        return next(index for index, port in enumerate(self._ports) if port[0].name == name)


if BY_NAME:
    ICudaEngine.num_io_tensors = property(lambda self: len(self._ports))
    ICudaEngine.get_tensor_name = lambda self, index: self._ports[index][0].name
    ICudaEngine.get_tensor_mode = lambda self, name: (
        TensorIOMode.INPUT if self._ports[self._index(name)][1] else TensorIOMode.OUTPUT
    )
    ICudaEngine.get_tensor_shape = lambda self, name: _declared(self._ports[self._index(name)][0])
    ICudaEngine.get_tensor_dtype = lambda self, name: self._type(self._index(name))
if not NEW:
    ICudaEngine.num_bindings = property(lambda self: len(self._ports))
    ICudaEngine.get_binding_name = lambda self, index: self._ports[index][0].name
    ICudaEngine.binding_is_input = lambda self, index: self._ports[index][1]
    ICudaEngine.get_binding_shape = lambda self, index: _declared(self._ports[index][0])
    ICudaEngine.get_binding_dtype = lambda self, index: self._type(index)
    ICudaEngine.get_binding_index = lambda self, name: self._index(name)


class IProfiler:
    """Told the time of each layer after each inference."""


class IExecutionContext:
    profiler = None

    def __init__(self, engine):
        self._engine = engine
        self._addresses = {}
        self._shapes = {}

    def _set_shape(self, name, shape):
        record("shape", name, list(shape))
        if fault("shape"):
            return False
        self._shapes[name] = tuple(shape)
        return True

    def _shape(self, name):
        """TensorRT infers shapes; running the model on zeros tells them too."""
        if name in self._shapes:
            return self._shapes[name]
        session = self._engine._session
        feeds = {
            value.name: np.zeros(self._shapes.get(value.name, value.shape), _onnx_dtype(value))
            for value in session.get_inputs()
        }
        return session.run([name], feeds)[0].shape

    def _run(self, addresses, stream=0, *, reported=BY_NAME):
        record("enqueue", stream, list(addresses))
        if fault("enqueue"):
            return False
        engine, feeds = self._engine, {}
        for index, (value, is_input) in enumerate(engine._ports):
            if is_input:
                shape = self._shapes.get(value.name, value.shape)
                feeds[value.name] = _array(addresses[index], value, shape).astype(_onnx_dtype(value))
        results = engine._session.run(None, feeds)
        for place, name in enumerate(engine.layers if self.profiler and reported else []):
            self.profiler.report_layer_time(name, 0.001 * (place + 1))
        outputs = [index for index, port in enumerate(engine._ports) if not port[1]]
        for index, result in zip(outputs, results):  # noqa: B905
            _array(addresses[index], engine._ports[index][0], result.shape)[...] = _spoilt(result)
        return True


if BY_NAME:
    IExecutionContext.set_input_shape = IExecutionContext._set_shape
    IExecutionContext.get_tensor_shape = IExecutionContext._shape
    IExecutionContext.set_tensor_address = lambda self, name, address: self._addresses.update({name: address})
    IExecutionContext.execute_async_v3 = lambda self, stream: self._run(
        [self._addresses[port[0].name] for port in self._engine._ports], stream
    )
if not NEW:
    IExecutionContext.set_binding_shape = lambda self, index, shape: self._set_shape(
        self._engine._ports[index][0].name, shape
    )
    IExecutionContext.get_binding_shape = lambda self, index: self._shape(self._engine._ports[index][0].name)
    IExecutionContext.execute_v2 = lambda self, bindings: self._run(bindings, reported=True)
    IExecutionContext.execute_async_v2 = lambda self, bindings, stream_handle: self._run(bindings, stream_handle)


def _declared(value):
    return [size if isinstance(size, int) else -1 for size in value.shape]


def _spoilt(result):
    if fault("wrong outputs"):
        return result + 1
    return result * np.float32("nan") if fault("nan") and result.dtype.kind == "f" else result


def _onnx_dtype(value):
    return {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}[value.type]


def _dtype(value):
    """TensorRT before 10 has no INT64."""
    dtype = np.dtype(_onnx_dtype(value))
    return np.dtype(np.int32) if dtype == np.int64 and not NEW else dtype


def _array(address, value, shape):
    dtype = _dtype(value)
    count = int(np.prod(shape, dtype=np.int64))
    memory = (ctypes.c_byte * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, dtype=dtype, count=count).reshape(shape)
