"""Pictures in: preprocessing and input files."""
