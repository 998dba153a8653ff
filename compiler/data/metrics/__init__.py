"""Metrics of accuracy: one family per module; plugins add more (entry point group edgec.metrics)."""
