"""Arrays on the GPU in and out of an engine, by the CUDA array interface and by DLPack; both generations of the API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import edgec
from edgec.artefact.loaded import Loaded
from edgec.errors import CannotRunHere
from edgec.targets.tensorrt.board.device_array import DeviceArray, device_view, stream_handle
from edgec.targets.tensorrt.board.failure import Failure
from tests.support.tensorrt_board import board_environment, small_model

PROGRAM = """
import ctypes, platform, sys
platform.machine = lambda: "aarch64"  # as on the board
import numpy as np
import edgec
from edgec.artefact.loaded import Loaded
from edgec.errors import CannotRunHere

cuda = ctypes.CDLL("libcudart.so")
copies = lambda: [cuda.stand_in_copies(kind) for kind in (1, 2, 3)]

class OnDevice:  # memory of the device is memory of the host here
    def __init__(self, array, offset=0, stream=None):
        room = np.zeros(array.nbytes + 512, np.uint8)
        begin = -room.ctypes.data % 256 + offset
        self.array = room[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
        self.array[...] = array
        self.stream = stream
    @property
    def __cuda_array_interface__(self):
        given = self.array.__array_interface__
        return {"shape": given["shape"], "typestr": given["typestr"], "data": given["data"], "version": 3,
                "strides": None, "stream": self.stream}

class ByDLPack:
    def __init__(self, array): self.array = OnDevice(array).array
    def __dlpack_device__(self): return (2, 0)
    def __dlpack__(self, stream=None): return self.array.__dlpack__()

def on_host(output):
    memory = (ctypes.c_byte * (int(np.prod(output.shape)) * output.dtype.itemsize)).from_address(output.ptr)
    return np.frombuffer(memory, output.dtype).reshape(output.shape).copy()

runner = edgec.load(sys.argv[1])
image = edgec.Artefact.open(sys.argv[1]).golden_inputs()["image"]
wanted = runner.run({"image": image})["y"]
before = copies()
for given in (OnDevice(image), ByDLPack(image), OnDevice(image, stream=77)):
    outputs = runner.run_on_device({"image": given}, stream=type("Stream", (), {"handle": 1234})())
    print((on_host(outputs["y"]) == wanted).all(), copies() == before)
cuda.stand_in_waited.restype = ctypes.c_void_p
print(cuda.stand_in_waited())
print(outputs["y"].__cuda_array_interface__["stream"], outputs["best"].dtype.name)
outputs = runner.run_on_device({"image": OnDevice(image, offset=4)})
print((on_host(outputs["y"]) == wanted).all(), copies()[2] - before[2], cuda.stand_in_waited())
outputs = runner.run_on_device({"image": image})
print((on_host(outputs["y"]) == wanted).all(), copies()[0] - before[0], copies()[1] - before[1])
runner.run_on_device({"image": OnDevice(image * 0)})
print((runner.run({"image": image})["y"] == wanted).all())
for wrong in (OnDevice(image.astype(np.float64)), OnDevice(image[:, :2]), OnDevice(np.zeros((0,), np.float32))):
    try:
        runner.run_on_device({"image": wrong})
    except edgec.EdgecError as error:
        print(error.problem)
"""


@pytest.mark.parametrize(("board", "integers"), [("jetson-tx2", "int32"), ("jetson-agx-orin", "int64")])
def test_an_engine_runs_on_arrays_of_the_gpu_in_the_stream_of_the_caller(
    tmp_path: Path, board: str, integers: str
) -> None:
    edgec.compile(ir.to_proto(small_model()), target=board, output=tmp_path / "a")
    log = tmp_path / "calls"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a")],
        env=os.environ | board_environment(board) | {"STAND_IN_LOG": str(log)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("warning")]
    assert lines[:3] == ["True True"] * 3  # the same outputs, and nothing was copied
    assert lines[3:5] == ["77", f"1234 {integers}"]  # the producer's stream was waited for
    assert lines[5:8] == ["True 1 1", "True 1 0", "True"]
    assert lines[8:] == [
        "input 'image' has the type float64, but must have float32.",
        "input 'image' has the shape (1, 2, 8, 8), but must have (1, 3, 8, 8).",
        "input 'image' has the shape (0,), but must have (1, 3, 8, 8).",
    ]
    enqueued = [call for call in map(json.loads, log.read_text().splitlines()) if call[0] == "enqueue"]
    assert [stream for _, stream, _ in enqueued[1:4]] == [1234] * 3
    own = enqueued[0][2]
    assert all(places[0] != own[0] and places[1:] == own[1:] for _, _, places in enqueued[1:4])


class Strided:
    def __init__(self, array: Any) -> None:
        self.array = array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.array.__array_interface__, "strides": self.array.strides, "version": 3}


def test_an_array_that_is_not_contiguous_is_refused_one_of_the_host_is_none() -> None:
    array = np.zeros((4, 6), np.float32)
    found = device_view("x", Strided(array), 0)
    assert found is not None
    assert (found.shape, found.dtype, found.address, found.stream) == ((4, 6), "float32", array.ctypes.data, None)
    with pytest.raises(Failure, match="input 'x' is not contiguous"):
        device_view("x", Strided(array.T), 0)
    assert device_view("x", array, 0) is None


def test_streams_of_several_packages_are_known() -> None:
    assert [stream_handle(each) for each in (0, 7, SimpleNamespace(ptr=8), SimpleNamespace(cuda_stream=9))] == [
        0,
        7,
        8,
        9,
    ]
    with pytest.raises(Failure, match="is not a CUDA stream"):
        stream_handle("mine")


def test_an_output_is_taken_by_a_reader_of_dlpack_and_lives_as_long_as_it_is_read() -> None:
    tvm_ffi = pytest.importorskip("tvm_ffi")
    waited: list[int] = []
    owner = SimpleNamespace(cuda=SimpleNamespace(synchronize=waited.append))
    memory = np.zeros(1024, np.uint8)
    address = memory.ctypes.data + -memory.ctypes.data % 256
    output = DeviceArray((2, 3), np.dtype(np.float32), address, 5, owner)
    assert output.__dlpack_device__() == (2, 0)
    taken = tvm_ffi.from_dlpack(output)
    assert (tuple(taken.shape), str(taken.dtype), str(taken.device)) == ((2, 3), "float32", "cuda:0")
    assert waited in ([5], [])  # the reader may have named the engine's stream
    del taken
    view = device_view(
        "x", SimpleNamespace(__dlpack_device__=output.__dlpack_device__, __dlpack__=output.__dlpack__), 5
    )
    assert view is not None
    assert (view.shape, view.dtype, view.address) == ((2, 3), "float32", address)


def test_an_artefact_of_a_cpu_says_so() -> None:
    manifest = SimpleNamespace(source=SimpleNamespace(name="net"), board=SimpleNamespace(name="rpi4"))
    loaded: Any = Loaded(object(), manifest)  # type: ignore[arg-type]
    with pytest.raises(CannotRunHere, match="net is compiled for rpi4, which runs it on its CPU"):
        loaded.run_on_device({})
