"""Channels of a network: which can be removed together, and how they are removed from weights and nodes."""
