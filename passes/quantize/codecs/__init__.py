"""Codecs: what weights of few bits may be, and how they are found; by name (entry point group edgec.codecs)."""
