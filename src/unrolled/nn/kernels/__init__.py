"""Kernels: fast code for whole sequences, in torch and in native code, and the choice between them."""
