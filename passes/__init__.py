"""Passes and analyses of a network; `pipeline` lists those that every compilation runs, in order."""
