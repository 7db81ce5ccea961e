"""Measure models and data: evaluate, check, compare, doctor."""
