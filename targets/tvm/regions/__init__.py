"""From Relax to regions: an anchor operator with the elementwise work around it; each region becomes one kernel."""
