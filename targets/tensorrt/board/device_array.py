"""Arrays in the GPU's memory, from other packages and for them: by the CUDA array interface (version 3) or DLPack."""

import ctypes
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from .failure import Failure

CUDA, MANAGED = 2, 13  # kDLCUDA and kDLCUDAManaged of dlpack.h
KINDS = {0: "int", 1: "uint", 2: "float"}  # DLDataTypeCode; booleans are 6
BOOL = 6
CAPSULE = b"dltensor"
LEGACY = 1  # how both protocols write the legacy default stream, whose handle is 0
STREAM_HANDLES = ("handle", "ptr", "cuda_stream")  # of pycuda, cupy, torch


class View(NamedTuple):
    """Where an array lies on the GPU; it is ready when the work on `stream` is done, or at once if that is None."""

    shape: Tuple[int, ...]
    dtype: str
    address: int
    stream: Optional[int]
    owner: Any


class DeviceArray:
    """An output in the GPU's memory, valid until the engine runs again or is closed.

    cupy, torch and others take it as it is, e.g. `cupy.asarray(output)`, `torch.as_tensor(output, device="cuda")` or
    `torch.from_dlpack(output)`; pycuda as `GPUArray(output.shape, output.dtype, gpudata=output.ptr)`.
    """

    def __init__(self, shape: Tuple[int, ...], dtype: Any, ptr: int, stream: int, owner: Any) -> None:
        self.shape = shape
        self.dtype = dtype
        self.ptr = ptr
        self._stream = stream
        self._owner = owner

    @property
    def __cuda_array_interface__(self) -> Dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.ptr, False),
            "strides": None,
            "version": 3,
            "stream": self._stream or LEGACY,
        }

    def __dlpack_device__(self) -> Tuple[int, int]:
        return CUDA, 0

    def __dlpack__(self, stream: Any = None, **_: Any) -> Any:
        if stream not in (-1, self._stream or LEGACY):  # the reader's stream is not the one the engine runs on
            self._owner.cuda.synchronize(self._stream)
        return _capsule(self)


def stream_handle(stream: Any) -> int:
    """Return the handle of a stream: a number, or a stream of pycuda, cupy or torch.

    Raises:
        Failure: It is none of these.
    """
    for name in STREAM_HANDLES:
        stream = getattr(stream, name, stream)
    if not isinstance(stream, int) or stream < 0:
        raise Failure(
            "{!r} is not a CUDA stream: give its handle, or a stream of pycuda, cupy or torch.".format(stream)
        )
    return stream


def device_view(name: str, given: Any, stream: int) -> Optional[View]:
    """Return where the array `given` lies on the GPU; None if it does not lie there.

    Args:
        name: Of the input, for messages.
        given: Any object.
        stream: Handle of the stream on which the array is read; DLPack's producers are told.

    Raises:
        Failure: The array is not contiguous, or of a type that an engine cannot read.
    """
    interface = getattr(given, "__cuda_array_interface__", None)
    if interface is not None:
        dtype, shape = np.dtype(interface["typestr"]), tuple(interface["shape"])
        _check_strides(name, shape, interface.get("strides"), dtype.itemsize)
        return View(shape, dtype.name, int(interface["data"][0]), interface.get("stream"), given)
    device = getattr(given, "__dlpack_device__", None)
    if device is None or int(device()[0]) not in (CUDA, MANAGED):
        return None
    capsule = given.__dlpack__(stream=stream or LEGACY)
    tensor = ctypes.cast(_python.PyCapsule_GetPointer(capsule, CAPSULE), ctypes.POINTER(_Managed)).contents.tensor
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    strides = tuple(tensor.strides[axis] for axis in range(tensor.ndim)) if tensor.strides else None
    _check_strides(name, shape, strides, 1)
    kind, bits = int(tensor.dtype.code), int(tensor.dtype.bits)
    if tensor.dtype.lanes != 1 or (kind not in KINDS and (kind, bits) != (BOOL, 8)):
        raise Failure("input {!r} has a type that numpy lacks.".format(name))
    dtype_name = "bool" if kind == BOOL else "{}{}".format(KINDS[kind], bits)
    # The capsule is not consumed: as long as it lives, so does the memory.
    return View(shape, dtype_name, int(tensor.data or 0) + int(tensor.byte_offset), None, capsule)


def _check_strides(name: str, shape: Tuple[int, ...], strides: Any, item: int) -> None:
    step = item
    for size, stride in zip(reversed(shape), reversed(strides or ())):
        if size > 1 and stride != step:
            raise Failure("input {!r} is not contiguous: copy it first.".format(name))
        step *= size


class _Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]


class _DType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    """DLManagedTensor of dlpack.h."""

    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


_python = ctypes.PyDLL(None)
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_python.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_address_in = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", _python))

_lent: Dict[int, Any] = {}  # address of a DLManagedTensor -> what must live as long as its reader needs it


def _given_back(managed: Any) -> None:
    _lent.pop(managed, None)


def _dropped(capsule: Any) -> None:
    if _python.PyCapsule_IsValid(capsule, CAPSULE):  # nobody took the tensor, which would have changed the name
        _lent.pop(_address_in(capsule, CAPSULE), None)


_give_back = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_given_back)  # called by readers in other languages
_drop = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(_dropped)  # called by Python, which is not left for it


def _capsule(array: DeviceArray) -> Any:
    shape = (ctypes.c_int64 * len(array.shape))(*array.shape)
    kind = BOOL if array.dtype.kind == "b" else "iuf".index(array.dtype.kind)
    dtype = _DType(kind, 8 * array.dtype.itemsize, 1)
    sizes = ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
    tensor = _Tensor(array.ptr, _Device(CUDA, 0), len(array.shape), dtype, sizes, None, 0)
    managed = _Managed(tensor, None, ctypes.cast(_give_back, ctypes.c_void_p))
    address = ctypes.addressof(managed)
    _lent[address] = (managed, shape, array)
    return _python.PyCapsule_New(address, CAPSULE, ctypes.cast(_drop, ctypes.c_void_p))
