"""From Relax to regions: an anchor operator and the elementwise work around it, each of which becomes one kernel."""
