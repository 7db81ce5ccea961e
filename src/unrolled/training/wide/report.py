"""Say how much the network adds to the wide part, measured on the validation set."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Array, Floats
from unrolled.tasks.metrics.classification import bootstrap

SHARE = 0.95  # confidence level of the interval
FEW = 20  # with fewer validation sequences, no statement is made


def baseline_line(scores: Floats, y: Array) -> str:
    """Return the result of the wide part alone. scores: [N, n_y].  y: [N] classes or [N, n_y] numbers."""
    name, value = _name(y), float(_each(scores, y).mean())
    return f"baseline: the wide part alone has {name} {value:.3f} on the validation set"


def comparison_line(wide: Floats, network: Floats, both: Floats, y: Array) -> str:
    """Return a sentence that compares the whole model with its parts.

    wide, network, both: [N, n_y] the scores of the wide part, the answers of the network, and the answers of both.
    y: [N] classes or [N, n_y] numbers.

    The interval of the difference is that of a paired bootstrap.
    """
    name, n = _name(y), len(y)
    alone, added, total = (_each(answers, y) for answers in (wide, network, both))
    shown = f"{name} on the validation set: model {total.mean():.3f}, baseline {alone.mean():.3f}"
    shown += f" (the wide part alone), network alone {added.mean():.3f}"
    if n < FEW:
        return shown
    gain = (total - alone) * (1 if y.ndim == 1 else -1)
    low, high = bootstrap(lambda rows: float(gain[rows].mean()), n, seed=0, share=SHARE)
    verdict = (
        "the model beats the baseline"
        if low > 0
        else "the baseline beats the model"
        if high < 0
        else "no clear difference to the baseline"
    )
    return f"{shown}; {verdict} (gain {gain.mean():+.3f}, 95% interval {low:+.3f} to {high:+.3f})"


def _name(y: Array) -> str:
    return "accuracy" if y.ndim == 1 else "absolute error (standardised)"


def _each(answers: Floats, y: Array) -> NDArray[np.float64]:
    """Return [N] whether the largest answer is right, or the mean absolute error of each sequence."""
    if y.ndim == 1:
        return (answers.argmax(1) == y).astype(np.float64)
    return np.abs(answers - y).mean(1)


def main_figure(figures: Mapping[str, object]) -> tuple[str, float]:
    """Return the name and the value of the metric of a tagger: the F1 of spans, or the accuracy without spans."""
    for key, name in (("span_f1", "span F1"), ("accuracy", "accuracy")):
        value = figures.get(key)
        if isinstance(value, float):  # None if no tag is known
            return name, value
    return "accuracy", 0.0


def tags_line(wide: Mapping[str, object], network: Mapping[str, object], both: Mapping[str, object]) -> str:
    """Return a sentence that compares the figures of the wide part, of the network, and of the whole model."""
    (name, total), (_, alone), (_, added) = (main_figure(figures) for figures in (both, wide, network))
    shown = f"{name} on the validation set: model {total:.3f}"
    return f"{shown}, baseline {alone:.3f} (the wide part alone), network alone {added:.3f}; gain {total - alone:+.3f}"
