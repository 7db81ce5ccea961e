"""The layers `RNN`, `GRUSimple`, `GRU`, `LSTM`, and the networks built of them, on torch."""

from unrolled.nn.layers import GRU, LSTM, RNN, GRUSimple

__all__ = ["GRU", "LSTM", "RNN", "GRUSimple"]
