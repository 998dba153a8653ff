"""Calibrators: from the values of a tensor to the range worth keeping; one a file, found by name (`edgec.calibrators`)."""
