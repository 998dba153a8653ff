"""Data and metrics: preprocessing, sample sources, label formats, decoders and metrics."""
