"""Kernels for CPUs: a schedule is one file of a family, which chooses its tiles by rule from a model of the CPU."""
