"""Encodings of text files, tokens, subwords and vocabularies."""
