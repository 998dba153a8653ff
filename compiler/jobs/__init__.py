"""Many measurements, shared out to processes or to a cluster, each result kept as it comes."""
