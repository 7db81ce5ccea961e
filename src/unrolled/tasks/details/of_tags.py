"""Details of tags: by type and length of the spans that they mark, or by tag, and the worst sequences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Example
from unrolled.tasks.details import intervals, of_classes, of_spans
from unrolled.tasks.details.parts import WORST, Details, combined
from unrolled.tasks.metrics import classification, spans

Pair = tuple[Sequence[str], Sequence[str]]  # the true and the predicted tags of a sequence
Known = NDArray[np.bool_]  # [T] whether the true tag of a step is known
Examples = Callable[[Collection[int]], Mapping[int, Example]]


def details_of_spans(pairs: Sequence[Pair], known: Sequence[Known], examples: Examples) -> Details:
    """Return the details of tags that mark spans. Arguments as in `Evaluated`, one of each per sequence."""
    sentences = [(spans.spans(gold), spans.spans(said)) for gold, said in pairs]
    worst = _most([len(set(gold) ^ set(said)) for gold, said in sentences])
    chosen = examples(worst)
    counts = np.array(
        [(len(set(gold) & set(said)), len(gold), len(said)) for gold, said in sentences], dtype=np.float64
    )
    return combined(
        of_spans.by_type(sentences),
        of_spans.by_length(sentences),
        of_spans.by_kind_of_error(sentences),
        of_spans.worst_sentences([(chosen[i], sentences[i]) for i in worst]),
        intervals={
            "accuracy": _accuracy(pairs, known),
            "span_precision": intervals.of_sums(counts[:, [0, 2]], _ratio),
            "span_recall": intervals.of_sums(counts[:, [0, 1]], _ratio),
            "span_f1": intervals.of_sums(counts, _f1),
        },
    )


def details_of_tags(
    names: Sequence[str], pairs: Sequence[Pair], known: Sequence[Known], examples: Examples
) -> Details:
    """Return the details of tags that mark no spans. names: all tags. Other arguments as in `Evaluated`."""
    index = {name: number for number, name in enumerate(names)}
    errors = [_errors(pair, one) for pair, one in zip(pairs, known, strict=True)]
    worst = _most([len(one) for one in errors])
    chosen = examples(worst)
    last = of_spans.worst_steps([(chosen[i], errors[i]) for i in worst])
    asked = np.concatenate(known)
    if not asked.any():
        return combined(last, intervals={})
    true, told = (
        np.array([index.get(tag, -1) for row in rows for tag in row], dtype=np.int64)[asked]
        for rows in zip(*pairs, strict=True)
    )
    table = classification.confusion(true, told, len(names))
    return combined(
        of_classes.class_scores(names, table, "tag"),
        of_classes.confusions(names, table),
        last,
        intervals={"accuracy": _accuracy(pairs, known)},
    )


def _errors(pair: Pair, known: Known) -> list[tuple[int, str, str]]:
    """Return the step, the true and the predicted tag of each wrong step whose true tag is known."""
    rows = enumerate(zip(*pair, known.tolist(), strict=True))
    return [(step, gold, said) for step, (gold, said, asked) in rows if asked and gold != said]


def _accuracy(pairs: Sequence[Pair], known: Sequence[Known]) -> tuple[float, float] | None:
    sums = [
        (int(one.sum()) - len(_errors(pair, one)), int(one.sum()))
        for pair, one in zip(pairs, known, strict=True)
    ]
    counts = np.array(sums, dtype=np.float64)
    return intervals.of_sums(counts, _ratio) if counts[:, 1].any() else None


def _most(counts: Sequence[int]) -> list[int]:
    """Return the indices of the largest counts above 0, the largest first."""
    order: list[int] = np.argsort(-np.array(counts), kind="stable")[:WORST].tolist()
    return [i for i in order if counts[i]]


def _f1(sums: NDArray[np.float64]) -> float:
    return float(2 * sums[0] / (sums[1] + sums[2])) if sums[0] else 0.0


def _ratio(sums: NDArray[np.float64]) -> float:
    return float(sums[0] / sums[1]) if sums[1] else 0.0
