"""Kernels written as loops: they select and order elements by value, which no tensor expression can describe."""
