"""Details of classes: the confusion matrix, the scores of each class, the calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled.core.progress import counted
from unrolled.core.types import Example
from unrolled.tasks.details.examples import place_of, place_text, text_of
from unrolled.tasks.details.parts import (
    SHOWN,
    Bars,
    Calibration,
    Histogram,
    Matrix,
    Part,
    Table,
)
from unrolled.tasks.metrics import classification

Counts = NDArray[np.int64]
F64 = NDArray[np.float64]

FEW = 12  # maximum number of classes for which a terminal shows all scores
NARROW = 8  # maximum number of classes for which a terminal shows the whole confusion matrix
READABLE = 20  # maximum number of classes in a confusion matrix that a page shows without a click
PAIRS = 50  # maximum number of confused pairs
BINS = 10  # number of bins of probabilities
OTHERS = "(others)"


def class_scores(
    names: Sequence[str], table: Counts, what: str = "class"
) -> tuple[list[Part], dict[str, object]]:
    """Return the scores of each class as tables, figures and JSON.

    With many classes, those with the lowest F1 are first. Classes that do not occur, true or predicted, are
    left out.
    names: the n names.  table: the confusion matrix of these names, perhaps with more rows and columns after
    them.  what: the name of a class for titles.
    """
    every = classification.by_class(table)[: len(names)]
    scores = [(name, one) for name, one in zip(names, every, strict=True) if one.support or one.predicted]
    many = len(scores) > FEW
    if many:
        scores.sort(key=lambda pair: pair[1].f1)
    rows = tuple((name, one.precision, one.recall, one.f1, one.support) for name, one in scores)
    bars = tuple(
        (
            name,
            one.f1,
            f"{one.f1:.3f} ({counted(one.support, 'item')})",
        )
        for name, one in scores
    )
    plain = [
        {
            what: name,
            "precision": one.precision,
            "recall": one.recall,
            "f1": one.f1,
            "support": one.support,
            "predicted": one.predicted,
        }
        for name, one in scores
    ]
    order = ", the lowest F1 first" if many else ""
    parts: list[Part] = [
        Bars(
            f"F1 of each {what}{order}",
            bars,
            note=f"The number in brackets is the number of true items of the {what}.",
        ),
        Table(
            f"scores of each {what}{order}",
            (what, "precision", "recall", "F1", "support"),
            rows,
            shown=SHOWN if many else None,
        ),
    ]
    return parts, {_plural(what): plain}


def _plural(what: str) -> str:
    return f"{what}es" if what.endswith("s") else f"{what}s"


def confusions(
    names: Sequence[str], table: Counts, title: str = "confusion matrix"
) -> tuple[list[Part], dict[str, object]]:
    """Return the confusion matrix as figures, the most confused pairs as a table, and both as JSON.

    With more than 20 classes there are two matrices: one of the 19 classes that are confused most often, and
    one of all classes.
    names: the n names.  table: [n, n] the counts; row: true, column: predicted.
    """
    wrong = table - np.diag(table.diagonal())
    places = np.nonzero(wrong)
    counts = wrong[places]
    rows: list[int] = places[0].tolist()
    columns: list[int] = places[1].tolist()
    totals = table.sum(1)
    order: list[int] = np.argsort(-counts, kind="stable")[:PAIRS].tolist()
    pairs = [
        (names[rows[i]], names[columns[i]], int(counts[i]), float(counts[i] / totals[rows[i]])) for i in order
    ]
    note = "Rows are true classes, columns are predicted classes."
    parts: list[Part] = []
    seen: list[int] = np.flatnonzero(table.sum(0) + table.sum(1)).tolist()
    if len(seen) > READABLE:
        parts.append(_most_confused(names, table, wrong, title))
    parts.append(
        Matrix(
            title if len(seen) <= READABLE else f"{title} of all {len(seen):,} classes",
            tuple(names[i] for i in seen),
            tuple(names[i] for i in seen),
            _plain(table[np.ix_(seen, seen)]),
            tuple(totals[seen].tolist()),
            note,
            on_terminal=len(seen) <= NARROW,
            folded=len(seen) > READABLE,
        )
    )
    if len(seen) > 2 and pairs:
        shown = 0 if len(seen) <= NARROW else SHOWN  # a terminal shows the matrix of a few classes instead
        parts.append(
            Table(
                "most confused pairs",
                ("true", "predicted", "count", "fraction"),
                tuple(pairs),
                shown,
                note="The fraction is that of all items of the true class.",
            )
        )
    plain = [
        {"true": true, "predicted": said, "count": count, "fraction": share}
        for true, said, count, share in pairs
    ]
    return parts, {"confusion": {"classes": list(names), "counts": table.tolist()}, "confused": plain}


def _most_confused(names: Sequence[str], table: Counts, wrong: Counts, title: str) -> Matrix:
    """Return the confusion matrix of the most confused classes. One more column has all other predictions."""
    involved = wrong.sum(0) + wrong.sum(1)
    chosen: list[int] = np.argsort(-involved, kind="stable")[: READABLE - 1].tolist()
    inside = table[np.ix_(chosen, chosen)]
    totals = table.sum(1)[chosen]
    counts = np.column_stack([inside, totals - inside.sum(1)])
    shown = tuple(names[i] for i in chosen)
    return Matrix(
        f"{title} of the {len(chosen)} most confused classes",
        shown,
        (*shown, OTHERS),
        _plain(counts),
        tuple(totals.tolist()),
        "Rows are true classes, columns are predicted classes. The last column has all other predictions.",
    )


def calibration(p: F64, right: NDArray[np.bool_]) -> tuple[list[Part], dict[str, object]]:
    """Return the reliability diagram and the histogram of the probabilities.

    p: [N] probabilities of the predicted classes.  right: [N] whether they are correct.
    """
    counts, sums, correct = classification.reliability(p, right, BINS)
    bins = tuple(
        (i / BINS, (i + 1) / BINS, int(counts[i]), float(sums[i] / counts[i]), float(correct[i] / counts[i]))
        for i in range(BINS)
        if counts[i]
    )
    edges = tuple(i / (2 * BINS) for i in range(2 * BINS + 1))
    fine, _, good = classification.reliability(p, right, 2 * BINS)
    good = good.astype(np.int64)
    parts: list[Part] = [
        Calibration(
            "calibration",
            bins,
            "Each point is a group of answers with similar probability. Above the diagonal the model is right "
            "more often than it says, below it less often.",
        ),
        Histogram(
            "probability of the answers",
            "probability of the predicted class",
            edges,
            {"correct": tuple(good.tolist()), "wrong": tuple((fine - good).tolist())},
        ),
    ]
    plain = [
        {"low": low, "high": high, "count": count, "probability": mean, "accuracy": share}
        for low, high, count, mean, share in bins
    ]
    return parts, {"reliability": plain}


def error_table(
    wrong: Sequence[tuple[Example, str, str, float, float]],
) -> tuple[list[Part], dict[str, object]]:
    """Return the worst errors as a table and as JSON.

    wrong: example, true class, predicted class, probability of the predicted class and of the true class.
    """
    rows = tuple(
        (place_text(one), true, said, p, p_true, text_of(one)) for one, true, said, p, p_true in wrong
    )
    plain = [
        {
            **place_of(one),
            "text": text_of(one),
            "true": true,
            "predicted": said,
            "probability": p,
            "true_probability": p_true,
        }
        for one, true, said, p, p_true in wrong
    ]
    columns = ("place", "true", "predicted", "p(predicted)", "p(true)", "text")
    note = "The first row has the lowest probability of the true class, p(true)."
    parts: list[Part] = [Table("worst errors", columns, rows, long=("text",), note=note)] if rows else []
    return parts, {"worst": plain}


def _plain(counts: Counts) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in counts.tolist())
