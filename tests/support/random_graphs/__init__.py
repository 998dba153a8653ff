"""Random valid graphs, what a right program makes of them, and the smallest graph that still shows a fault."""
