"""Rules for padded axes, operator by operator: one file per family, each with a table that `table.py` joins."""
