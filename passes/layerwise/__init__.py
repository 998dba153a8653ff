"""Layers as linear maps, the moments of what they read, and the refit of one layer after the other by them."""
