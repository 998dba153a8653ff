"""Compression of a compilation: pruning and quantization within an accepted loss, and their findings."""
