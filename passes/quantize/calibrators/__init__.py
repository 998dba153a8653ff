"""Calibrators: from the values of a tensor to the range worth keeping; found by name (group edgec.calibrators)."""
