"""Formulas of metrics: one file for each kind of answer.

The method `figures` of each output chooses the metrics that are printed.
"""
