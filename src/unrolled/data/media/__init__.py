"""Media files: decode one kind of file per module to an array, within limits. Optional packages do the decoding."""
