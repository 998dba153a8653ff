"""Shared code of the families of schedules: the expressions of regions, tiles, edits of functions."""
