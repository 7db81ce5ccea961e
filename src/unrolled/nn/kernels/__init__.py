"""Fast code for whole sequences: native kernels and their dispatch."""
