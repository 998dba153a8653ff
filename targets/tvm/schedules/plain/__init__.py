"""Operators on plain tensors: products, reductions, recurrent layers and elementwise work."""
