"""Runs many measurements in worker processes or on a cluster, and stores each result when it is known."""
