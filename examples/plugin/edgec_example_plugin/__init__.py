"""An edgec plugin: one pass, one target and a board file for it, found through entry points."""
