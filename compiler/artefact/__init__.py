"""The folder that goes to the board: writing, checking, opening and measuring it."""
