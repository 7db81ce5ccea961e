"""Answers of `predict` and `score`: read lines, tables and media files, and write answers in each format."""
