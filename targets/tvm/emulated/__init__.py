"""Estimates the time of an inference on an ARM board from an emulator's counts."""
