"""Structured pruning: which channels belong together, which to remove, removing them, and repairing what is left."""
