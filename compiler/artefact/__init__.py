"""The folder that is copied to the board: writing, checking, opening and measuring it."""
