"""Integers instead of floats: calibration of activations, placement of Q/DQ pairs, rounding and repair of weights."""
