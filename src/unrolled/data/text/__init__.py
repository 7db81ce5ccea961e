"""Text encodings, tokens, subwords and vocabularies."""
