"""Measure models and data: the commands evaluate, check, compare and doctor."""
