"""Evaluates networks on samples by a metric, and again after a change, running only the nodes after it."""
