"""Names of the operators that rewrites of the graph introduce."""

from __future__ import annotations

QUANTIZE, DEQUANTIZE = "edgec.quantize", "edgec.dequantize"
CONV, MATMUL = "edgec.conv_int8", "edgec.matmul_int8"
CHANNELS = "edgec.channels"
"""A range of the channels of an NCHW tensor."""
