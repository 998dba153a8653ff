"""What is measured on samples in one streamed sweep: ranges, histograms, moments; quantization and pruning share it."""
