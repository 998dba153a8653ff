"""What becomes of padded axes, operator by operator: one file a family, each with a table that `table.py` joins."""
