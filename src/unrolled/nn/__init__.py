"""PyTorch code: the layers RNN, GRUSimple, GRU and LSTM, networks, and losses."""

from unrolled.nn.layers import GRU, LSTM, RNN, GRUSimple

__all__ = ["GRU", "LSTM", "RNN", "GRUSimple"]
