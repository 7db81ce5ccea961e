"""Details of numbers: errors of each output or step ahead, the worst errors, predicted against true values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Example
from unrolled.tasks.details import intervals
from unrolled.tasks.details.examples import place_of, place_text, text_of
from unrolled.tasks.details.parts import Histogram, Lines, Part, Scatter, Table
from unrolled.tasks.metrics import regression

F64 = NDArray[np.float64]

SEVERAL = 4  # maximum number of outputs that have a figure of their own
POINTS = 2000  # maximum number of points in a figure
BINS = 40  # number of bins of a histogram
FEW = 6  # numbers of a target in a table


def by_output(
    truth: F64, told: F64, half_width: F64 | None, horizon: int | None
) -> tuple[list[Part], dict[str, object]]:
    """Return the errors of each output; for a forecast the error of each step ahead, also as a figure.

    truth, told: [N, n_y].  half_width: [n_y] half the width of the intervals; None: there are none.
    horizon: number of steps of a forecast; the outputs are then [horizon, columns], row by row. None: no
    forecast.
    """
    names = names_of(truth.shape[1], horizon)
    score = regression.score(truth, told)
    columns: list[tuple[str, F64]] = [("mae", score.mae), ("rmse", score.rmse), ("r2", score.r2)]
    if half_width is not None:
        columns.append(("coverage", regression.coverage(truth, told, half_width)))
    plain = [
        {"output": name, **{key: float(values[i]) for key, values in columns}} for i, name in enumerate(names)
    ]
    parts: list[Part] = []
    if len(names) > 1:
        rows = tuple((name, *(float(values[i]) for _, values in columns)) for i, name in enumerate(names))
        what = "errors of each step ahead" if horizon else "errors of each number"
        parts.append(Table(what, ("output", *(key for key, _ in columns)), rows, shown=24))
    if horizon and horizon > 1 and len(names) % horizon == 0:
        errors = score.mae.reshape(horizon, -1)
        several = errors.shape[1]
        groups = {
            "mae" if several == 1 else f"column {c + 1}": tuple(errors[:, c].tolist())
            for c in range(min(several, SEVERAL))
        }
        at = tuple(float(step) for step in range(1, horizon + 1))
        parts.insert(0, Lines("error by horizon", "steps ahead", "mean absolute error", at, groups))
    return parts, {"outputs": plain}


def names_of(n_y: int, horizon: int | None) -> list[str]:
    """Return a name for each output, such as `step 3` or `step 3, column 2` of a forecast."""
    if not horizon or n_y % horizon:
        return [f"number {i + 1}" for i in range(n_y)]
    several = n_y // horizon
    if several == 1:
        return [f"step {i + 1}" for i in range(n_y)]
    return [f"step {i // several + 1}, column {i % several + 1}" for i in range(n_y)]


def worst_errors(wrong: Sequence[tuple[Example, F64, F64]]) -> tuple[list[Part], dict[str, object]]:
    """Return the worst errors as a table and as JSON. wrong: example, true and predicted numbers [n_y]."""
    rows = tuple(
        (
            place_text(one),
            text_of(one),
            _numbers(truth),
            _numbers(told),
            float(np.abs(told - truth).mean()),
        )
        for one, truth, told in wrong
    )
    plain = [
        {
            **place_of(one),
            "text": text_of(one),
            "true": truth.tolist(),
            "predicted": told.tolist(),
            "error": float(np.abs(told - truth).mean()),
        }
        for one, truth, told in wrong
    ]
    columns = ("place", "text", "true", "predicted", "absolute error")
    return [Table("worst errors", columns, rows, long=("text",))], {"worst": plain}


def worst_steps(
    wrong: Sequence[tuple[Example, int, F64, F64, float]],
) -> tuple[list[Part], dict[str, object]]:
    """Return the most surprising steps as a table and as JSON.

    wrong: example, its step from 1, true and predicted numbers [n_y], and the surprise in nats.
    """
    rows = tuple(
        (place_text(one), step, _numbers(truth), _numbers(told), nats)
        for one, step, truth, told, nats in wrong
    )
    plain = [
        {
            **place_of(one),
            "step": step,
            "true": truth.tolist(),
            "predicted": told.tolist(),
            "surprise": nats,
        }
        for one, step, truth, told, nats in wrong
    ]
    return [Table("most surprising steps", ("series", "step", "true", "predicted", "surprise"), rows)], {
        "worst": plain
    }


def figures(truth: F64, told: F64, horizon: int | None) -> tuple[list[Part], dict[str, object]]:
    """Return predicted against true values, residuals against predicted values, and a histogram of residuals.

    With more than four outputs, four of them are shown. With more than 2,000 rows, every n-th row is shown.
    truth, told: [N, n_y].  horizon: see `by_output`.
    """
    names = names_of(truth.shape[1], horizon)
    n_y = truth.shape[1]
    chosen = sorted({round(i) for i in np.linspace(0, n_y - 1, min(n_y, SEVERAL)).tolist()})
    step = -(-len(truth) // POINTS)
    parts: list[Part] = []
    for i in chosen:
        of = f", {names[i]}" if n_y > 1 else ""
        true, said = truth[:, i], told[:, i]
        note = f"{len(true[::step]):,} of {len(true):,} points are shown." if step > 1 else ""
        parts += [
            Scatter(
                f"predicted against true value{of}",
                "true value",
                "predicted value",
                tuple(zip(true[::step].tolist(), said[::step].tolist(), strict=True)),
                diagonal=True,
                note=note,
            ),
            Scatter(
                f"residuals{of}",
                "predicted value",
                "true value - predicted value",
                tuple(zip(said[::step].tolist(), (true - said)[::step].tolist(), strict=True)),
                level=True,
                note=note,
            ),
        ]
        counts, edges = np.histogram(true - said, BINS)
        parts.append(
            Histogram(
                f"distribution of the residuals{of}",
                "true value - predicted value",
                tuple(edges.tolist()),
                {"items": tuple(counts.tolist())},
            )
        )
    return parts, {}


def errors_with_intervals(truth: F64, told: F64, block: int = 1) -> dict[str, tuple[float, float] | None]:
    """Return the intervals of mae and rmse. block: see `intervals.of_sums`."""
    off = truth - told
    ones = np.ones((len(off), 1))
    size = np.abs(off).mean(axis=1, keepdims=True)
    return {
        "mae": intervals.of_sums(np.hstack([size, ones]), _ratio, block),
        "rmse": intervals.of_sums(np.hstack([off**2, ones]), _mean_root, block),
    }


def _ratio(sums: F64) -> float:
    return float(sums[0] / sums[1])


def _mean_root(sums: F64) -> float:
    """Return the mean over the outputs of the root mean square error, from sums of squares and the count."""
    return float(np.sqrt(sums[:-1] / sums[-1]).mean())


def _numbers(values: F64) -> str:
    """Return the first numbers as text."""
    text = " ".join(f"{value:.4g}" for value in values[:FEW].tolist())
    return text if len(values) <= FEW else f"{text} ..."
