"""Faults under load, with one checker for all of them: see bench/faults/run.py."""
