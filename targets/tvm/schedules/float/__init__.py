"""Convolutions of packed tensors in floats: direct, Winograd, and one filter a channel."""
