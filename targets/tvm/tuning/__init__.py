"""Auto-tuning: the tilings that schedules choose by default are compared with others on the board, kept in a file."""
