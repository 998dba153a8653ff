"""Calibrators: choose the range of a tensor from its values; found by name (entry point group edgec.calibrators)."""
