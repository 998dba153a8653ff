"""Layers as linear maps, the moments of their inputs, and the refit of one layer after the other from them."""
