"""Networks without torch: cells, engines, decoding and the model file."""
