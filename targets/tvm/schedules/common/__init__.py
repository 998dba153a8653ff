"""What the families of schedules share: the expressions of regions, tiles, edits of functions."""
