"""Auto-tuning: what the schedules decide by rule, measured on the board, and kept in a file."""
