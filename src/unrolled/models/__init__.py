"""A network without torch: cells, engines, decoding, the model file."""
