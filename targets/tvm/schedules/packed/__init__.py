"""Operators that move, pool or resize packed tensors, of floats or of bytes."""
