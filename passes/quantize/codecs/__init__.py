"""Codecs: the representable values of weights of few bits; found by name (entry point group edgec.codecs)."""
