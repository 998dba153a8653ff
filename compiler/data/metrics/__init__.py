"""How good outputs are: one family of metrics a module; more come from plugins (entry point group edgec.metrics)."""
