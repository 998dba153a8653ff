"""Structured pruning: coupled channels, the choice of channels, their removal, and the repair of the other weights."""
