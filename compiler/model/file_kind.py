"""Recognizes files that are given in place of an ONNX model, for a helpful message."""

from __future__ import annotations

# (offset of the signature, signature, kind of file)
MARKS = (
    (0, b"PK\x03\x04", "a zip file (a PyTorch checkpoint or a Keras model?)"),
    (0, b"\x89HDF\r\n", "an HDF5 file (a Keras model?)"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\x80\x02", "a pickle (a PyTorch checkpoint?)"),
    (0, b"\x80\x04", "a pickle (a PyTorch checkpoint?)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (4, b"ORTM", "a model in ONNX Runtime's own format"),
    (0, b"ftrt", "a TensorRT engine"),
    (0, b"<?xml", "an XML file (an OpenVINO model?)"),
)
TEXT_SAMPLE_BYTES = 512


def file_kind(data: bytes) -> str | None:
    """Return the kind of file, with its article, whose contents are `data`, or None if it may be ONNX."""
    if not data:
        return "empty"
    for offset, mark, kind in MARKS:
        if data[offset : offset + len(mark)] == mark:
            return kind
    sample = data[:TEXT_SAMPLE_BYTES]
    # An ONNX file begins with field tags and lengths, several of which are control characters.
    if all(0x20 <= byte < 0x7F or byte in b"\t\n\r" for byte in sample):
        return "a text file"
    return None
