"""A network without torch: its description, its cells, the engines that run it, decoding, the model file."""
