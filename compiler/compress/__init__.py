"""Compression of a compilation: pruning and quantization within an accepted loss, and what was found on the way."""
