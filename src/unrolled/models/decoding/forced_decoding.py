"""Run an encoder-decoder along a known answer: the log-probability and the attention weights of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import ZERO_INPUT_ID, Array
from unrolled.models.decoding import Followed, S


@dataclass(frozen=True)
class ForcedPath:
    """The result for one answer.

    log_probs: [T_y], the log-probability of each id. weights: [T_y, T_x], attention weights; empty without
    attention.
    """

    log_probs: NDArray[np.float64]
    weights: NDArray[np.float64]


def forced_decode(engine: Followed[S], state: S, answers: Sequence[Sequence[int]]) -> list[ForcedPath]:
    """Return the log-probabilities and attention weights of each answer.

    answers: ids with EOS. state: the state before the first y, one row per answer.
    """
    longest = max(map(len, answers), default=0)
    ids = np.full(
        (len(answers), longest + 1), ZERO_INPUT_ID, np.int64
    )  # the first column is the input of the first step
    for row, answer in enumerate(answers):
        ids[row, 1 : len(answer) + 1] = answer
    log_probs = np.zeros((len(answers), longest))
    weights: list[list[Array]] = [[] for _ in answers]
    for t in range(longest):
        rows, _, state = engine.step(state, ids[:, t], None)  # [rows, n_y]
        log_probs[:, t] = rows[np.arange(len(ids)), np.maximum(ids[:, t + 1], 0)]
        for own, one in zip(weights, engine.attention(state), strict=False):
            own.append(one)
    return [
        ForcedPath(log_probs[row, : len(answer)], _stacked(weights[row][: len(answer)]))
        for row, answer in enumerate(answers)
    ]


def _stacked(rows: list[Array]) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(len(rows), -1) if rows else np.zeros((0, 0))
