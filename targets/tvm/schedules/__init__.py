"""Kernels for CPUs: one workload a file, tiles chosen by rule from a model of the CPU, no tuning."""
