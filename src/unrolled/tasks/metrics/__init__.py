"""Metrics: one file a kind of answer. Plain numbers and arrays in, plain numbers out."""
