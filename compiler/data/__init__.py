"""Pictures in, judgements out: preprocessing, sample sources, label formats, decoders and metrics."""
