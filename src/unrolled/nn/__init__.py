"""Recurrent layers for PyTorch: `RNN`, `GRUSimple`, `GRU`, `LSTM`."""

from unrolled.nn.layers import GRU, LSTM, RNN, GRUSimple

__all__ = ["GRU", "LSTM", "RNN", "GRUSimple"]
