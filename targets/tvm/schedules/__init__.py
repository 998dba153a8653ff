"""Kernels for CPUs: a schedule is one file of a family; it chooses its tiles from the shape and a model of the CPU."""
