"""The time an ARM board takes, from what an emulator counts."""
