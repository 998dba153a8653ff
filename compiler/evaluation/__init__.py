"""How good a network is on samples, by a metric, and again after a change without running what lies before it."""
