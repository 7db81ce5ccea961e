"""Encoded examples on disk, and the batches read from them."""
