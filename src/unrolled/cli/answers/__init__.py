"""Answers of `predict` and `score`: read lines, tables and media files, write each answer in the format asked for."""
