"""Fit the wide part of a model with scikit-learn, and choose its weight."""
