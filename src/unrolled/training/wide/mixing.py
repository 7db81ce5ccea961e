"""Choose the weights of the network and of the wide part on the validation set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array, Floats
from unrolled.models.wide.wide_part import normalised
from unrolled.training.wide.matrices import library

BEFORE = (0.5, 0.7)  # the weights without a validation set: measured on texts, docs/log.md
LEAST_GAIN = 0.03  # fraction by which the network must reduce the squared error of a forecast
STRENGTH = 10.0  # the weights stay near BEFORE as if that many sequences asked for it


def smoothed(y: Array, n_y: int) -> NDArray[np.float64]:
    """Return the target probabilities [N, n_y] of classes y [N].

    The fraction 1 / (N + 1) is spread over all classes, so that few sequences never prove that an answer is certain
    (Platt 1999).
    """
    share = 1 / (len(y) + 1)
    return (1 - share) * np.eye(n_y)[y] + share / n_y


def mixing_weights(network: Floats, wide: Floats, y: Array) -> tuple[float, float]:
    """Return the two weights, at least 0, with the smallest loss on the validation set.

    network, wide: [N, n_y] answers of the two parts.  y: [N] classes (the answers are log-probabilities), or [N, n_y]
    numbers.  Few validation sequences move the weights little from BEFORE.
    """
    parts = np.stack([network, wide]).astype(np.float64)  # [2, N, n_y]
    classes = y.ndim == 1
    truth = smoothed(y, network.shape[1]) if classes else y.astype(np.float64)  # [N, n_y]
    before = np.array(BEFORE if classes else (0.5, 0.5))
    # The squared errors of numbers have the unit of their variance.
    strength = STRENGTH * (1.0 if classes else float(np.square(parts - truth).mean((1, 2)).min()))

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the loss and its gradient."""
        total = np.tensordot(weights, parts, 1)  # [N, n_y]
        if classes:
            log_probs = normalised(total)
            error, nats = np.exp(log_probs) - truth, -float((truth * log_probs).sum())
        else:
            error = total - truth
            nats = 0.5 * float(np.square(error).sum())
        away = weights - before
        slope = np.tensordot(parts, error, 2)  # [2]
        return nats + 0.5 * strength * float(away @ away), slope + strength * away

    found = library("scipy.optimize").minimize(
        loss, before, jac=True, method="L-BFGS-B", bounds=[(0, None), (0, None)]
    )
    return float(found.x[0]), float(found.x[1])


def adds(weights: tuple[float, float], network: Floats, wide: Floats, y: Array) -> bool:
    """Return whether the network clearly reduces the squared error of the wide part alone. Arguments: as above.

    Validation windows overlap, so a small gain on them is often chance.
    """
    both = np.square(weights[0] * network + weights[1] * wide - y).mean()
    return bool(both < (1 - LEAST_GAIN) * np.square(wide - y).mean())
