"""Quantization: calibration of activations, placement of Q/DQ pairs, rounding and repair of weights."""
