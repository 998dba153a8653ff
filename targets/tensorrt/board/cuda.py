"""The CUDA runtime calls that the script needs, through ctypes, as JetPack's Python has no CUDA package."""

import ctypes
import glob
from typing import Any, Optional, Sequence

import numpy as np

from .failure import Failure

HOST_TO_DEVICE, DEVICE_TO_HOST, WITHIN_DEVICE = 1, 2, 3
COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 75, 76  # cudaDeviceAttr

LIBRARIES = ("libcudart.so", "libcudart.so.10.2", "libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13")


class Buffer:
    """One tensor twice: `host`, a numpy array in page-locked memory, and `device`, an address on the GPU."""

    def __init__(self, host: Any, device: int) -> None:
        self.host = host
        self.device = device


class Cuda:
    """The CUDA runtime of this machine, with one stream.

    Raises:
        Failure: No CUDA runtime library is found, or a call fails.
    """

    def __init__(self) -> None:
        self._library = _load()
        self._library.cudaGetErrorString.restype = ctypes.c_char_p
        self._stream: Optional[int] = None

    @property
    def stream(self) -> int:
        """Handle of the stream, created on first use: its CUDA context takes memory that a child process may need."""
        if self._stream is None:
            stream = ctypes.c_void_p()
            self._call("cudaStreamCreate", ctypes.byref(stream))
            self._stream = int(stream.value or 0)
        return self._stream

    def sm(self) -> int:
        """Return the compute capability, e.g. 62."""
        return 10 * self._attribute(COMPUTE_CAPABILITY_MAJOR) + self._attribute(COMPUTE_CAPABILITY_MINOR)

    def buffer(self, shape: Sequence[int], dtype: Any) -> Buffer:
        """Return zeroed host and device memory for a tensor, which lives until `free` or the end of the process.

        Raises:
            Failure: There is not enough memory on one of them; then none is kept.
        """
        count = int(np.prod(shape, dtype=np.int64))
        size = max(1, count * np.dtype(dtype).itemsize)
        host, device = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cudaHostAlloc", ctypes.byref(host), ctypes.c_size_t(size), ctypes.c_uint(0))
        try:
            self._call("cudaMalloc", ctypes.byref(device), ctypes.c_size_t(size))
        except Failure:
            self._call("cudaFreeHost", host)
            raise
        memory = (ctypes.c_byte * size).from_address(int(host.value or 0))
        array = np.frombuffer(memory, dtype=dtype, count=count).reshape(tuple(shape))
        array[...] = 0
        return Buffer(array, int(device.value or 0))

    def free(self, buffer: Buffer) -> None:
        """Free the memory of `buffer`; its `host` array must not be used any more."""
        self._call("cudaFreeHost", ctypes.c_void_p(buffer.host.ctypes.data))
        self._call("cudaFree", ctypes.c_void_p(buffer.device))

    def close(self) -> None:
        """Destroy the stream; the next use creates a new one."""
        if self._stream is not None:
            self._call("cudaStreamDestroy", ctypes.c_void_p(self._stream))
            self._stream = None

    def copy_in(self, buffer: Buffer, stream: Optional[int] = None) -> None:
        """Enqueue the copy from host to device, on another stream if one is given."""
        self._copy(buffer.device, buffer.host.ctypes.data, buffer.host.nbytes, HOST_TO_DEVICE, stream)

    def copy_within(self, buffer: Buffer, source: int, stream: Optional[int] = None) -> None:
        """Enqueue the copy to the device's part of `buffer` from another address on the device."""
        self._copy(buffer.device, source, buffer.host.nbytes, WITHIN_DEVICE, stream)

    def copy_out(self, buffer: Buffer) -> None:
        """Enqueue the copy from device to host."""
        self._copy(buffer.host.ctypes.data, buffer.device, buffer.host.nbytes, DEVICE_TO_HOST)

    def synchronize(self, stream: Optional[int] = None) -> None:
        """Wait until all enqueued work is done, that of another stream if one is given."""
        self._call("cudaStreamSynchronize", ctypes.c_void_p(self.stream if stream is None else stream))

    def _copy(self, to: int, source: int, size: int, kind: int, stream: Optional[int] = None) -> None:
        self._call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(to),
            ctypes.c_void_p(source),
            ctypes.c_size_t(size),
            ctypes.c_int(kind),
            ctypes.c_void_p(self.stream if stream is None else stream),
        )

    def _attribute(self, attribute: int) -> int:
        value = ctypes.c_int()
        self._call("cudaDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), ctypes.c_int(0))
        return int(value.value)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            reason = (self._library.cudaGetErrorString(code) or b"").decode("utf-8", "replace")
            raise Failure("CUDA: {} failed with error {}: {}".format(name, code, reason))


def _load() -> ctypes.CDLL:
    for path in LIBRARIES + tuple(sorted(glob.glob("/usr/local/cuda*/lib64/libcudart.so*"))):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise Failure("no CUDA runtime (libcudart.so) here. On a Jetson: sudo apt-get install nvidia-jetpack")
