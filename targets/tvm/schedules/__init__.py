"""Kernels for CPUs: one workload a file, tiles chosen by rule from the target model, no tuning."""
