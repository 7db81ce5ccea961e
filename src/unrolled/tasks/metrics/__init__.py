"""Formulas of metrics: one file for each kind of answer. Each output's `figures` method chooses which are printed."""
