"""Damage of all kinds, by seed: models, files, and system calls that fail."""
