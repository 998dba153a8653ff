"""Decoders from a network's raw outputs to results: one kind of head per module."""
