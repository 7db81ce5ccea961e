"""Details of spans (names, chunks): scores by type and by length, kinds of errors, the worst sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np

from unrolled.core.types import Example
from unrolled.core.values.example_values import beginning
from unrolled.tasks.details.examples import CHARACTERS, place_of, place_text, text_of
from unrolled.tasks.details.of_classes import class_scores, confusions
from unrolled.tasks.details.parts import WORST, Part, Table
from unrolled.tasks.metrics.spans import Counts, Span

NO_SPAN = "(no span)"
LONG = 5  # spans of this length and longer are one group
KINDS = {
    "wrong type": "the steps are right, the type is wrong",
    "wrong boundaries": "a predicted span overlaps the true span, but begins or ends elsewhere",
    "missed": "no predicted span overlaps the true span",
    "extra": "the predicted span overlaps no true span",
}

Sentence = tuple[Sequence[Span], Sequence[Span]]  # the true and the predicted spans of a sentence


def by_type(sentences: Sequence[Sentence]) -> tuple[list[Part], dict[str, object]]:
    """Return the scores of each type, and which types are confused.

    A true span and a predicted span are compared if they have the same steps. All others count as `(no span)`.
    """
    cells = Counter[tuple[str, str]]()
    for gold, said in sentences:
        there = {(span.start, span.end): span.type for span in said}
        for span in gold:
            cells[span.type, there.pop((span.start, span.end), NO_SPAN)] += 1
        cells.update((NO_SPAN, kind) for kind in there.values())
    types = sorted({name for pair in cells for name in pair} - {NO_SPAN})
    names = [*types, NO_SPAN]
    table = np.array([[cells[true, said] for said in names] for true in names], dtype=np.int64)
    scores, plain = class_scores(types, table, "type")
    pairs, confusion = confusions(names, table, "confusion of types")
    return [*scores, *pairs], {**plain, **confusion}


def by_length(sentences: Sequence[Sentence]) -> tuple[list[Part], dict[str, object]]:
    """Return the scores by the length of a span, in steps. The last group has all longer spans."""
    true, guessed, both = Counter[int](), Counter[int](), Counter[int]()
    for gold, said in sentences:
        true.update(map(_length, gold))
        guessed.update(map(_length, said))
        both.update(map(_length, set(gold) & set(said)))
    groups = {n: Counts(true[n], guessed[n], both[n]) for n in sorted({*true, *guessed})}
    names = {n: f"{n} and more" if n == LONG else str(n) for n in groups}
    rows = tuple((names[n], one.precision, one.recall, one.f1, one.gold) for n, one in groups.items())
    plain = [
        {
            "length": names[n],
            "precision": one.precision,
            "recall": one.recall,
            "f1": one.f1,
            "support": one.gold,
            "predicted": one.predicted,
        }
        for n, one in groups.items()
    ]
    columns = ("steps", "precision", "recall", "F1", "support")
    return [Table("scores by length of the span", columns, rows, shown=None)], {"lengths": plain}


def by_kind_of_error(sentences: Sequence[Sentence]) -> tuple[list[Part], dict[str, object]]:
    """Return how many spans have each kind of error."""
    found = Counter[str]()
    for gold, said in sentences:
        exact = {(span.start, span.end) for span in said}
        true_steps, said_steps = _steps(gold), _steps(said)
        for span in set(gold) - set(said):
            if (span.start, span.end) in exact:
                found["wrong type"] += 1
            else:
                found[
                    "missed" if said_steps.isdisjoint(range(span.start, span.end)) else "wrong boundaries"
                ] += 1
        found["extra"] += sum(true_steps.isdisjoint(range(span.start, span.end)) for span in said)
    rows = tuple((kind, found[kind], text) for kind, text in KINDS.items())
    plain = {kind.replace(" ", "_"): found[kind] for kind in KINDS}
    columns = ("kind", "spans", "meaning")
    return [Table("kinds of errors", columns, rows, shown=None)], {"span_errors": plain}


def worst_sentences(
    wrong: Sequence[tuple[Example, Sentence]],
) -> tuple[list[Part], dict[str, object]]:
    """Return the sentences with the most wrong spans, as a table and as JSON."""
    rows: list[tuple[str, int, str, str, str]] = []
    plain: list[Mapping[str, object]] = []
    for one, (gold, said) in wrong:
        missed, extra = sorted(set(gold) - set(said), key=_start), sorted(set(said) - set(gold), key=_start)
        text = text_of(one)
        count = len(missed) + len(extra)
        rows.append((place_text(one), count, text, _shown(missed, one), _shown(extra, one)))
        spans = {
            name: [
                {"type": span.type, "start": span.start, "end": span.end, "text": _words(span, one)}
                for span in several[:WORST]
            ]
            for name, several in (("missed", missed), ("extra", extra))
        }
        plain.append({**place_of(one), "text": text, "wrong": count, **spans})
    long = ("text", "true, not predicted", "predicted, not true")
    table = Table("worst sequences", ("place", "wrong spans", *long), tuple(rows), 5, long)
    parts: list[Part] = [table] if rows else []
    return parts, {"worst": plain}


def worst_steps(
    wrong: Sequence[tuple[Example, Sequence[tuple[int, str, str]]]],
) -> tuple[list[Part], dict[str, object]]:
    """Return the sequences with the most wrong tags, as a table and as JSON.

    wrong: example, and the step, the true and the predicted tag of each wrong step.
    """
    rows: list[tuple[str, int, str, str]] = []
    plain: list[Mapping[str, object]] = []
    for one, errors in wrong:
        text = text_of(one)
        told = "; ".join(
            f"{_steps_text(first, last, one)}: {said}, not {true}"
            for first, last, true, said in _runs(errors, apart=bool(text))
        )
        rows.append((place_text(one), len(errors), text, beginning(told, CHARACTERS)))
        steps = [
            {
                "step": step,
                "text": _words(Span("", step, step + 1), one),
                "true": true,
                "predicted": said,
            }
            for step, true, said in errors[:WORST]
        ]
        plain.append({**place_of(one), "text": text, "wrong": len(errors), "errors": steps})
    long = ("text", "wrong tags")
    table = Table("worst sequences", ("place", "wrong steps", *long), tuple(rows), 5, long)
    parts: list[Part] = [table] if rows else []
    return parts, {"worst": plain}


def _runs(errors: Sequence[tuple[int, str, str]], *, apart: bool) -> Iterator[tuple[int, int, str, str]]:
    """Yield the first and the last step of neighbours with the same error, and their true and predicted tag.

    apart: whether each step is a run of its own.
    """
    for _, group in groupby(
        enumerate(errors), lambda pair: (pair[1][0] - pair[0] * (not apart), *pair[1][1:])
    ):
        run = [error for _, error in group]
        yield run[0][0], run[-1][0], run[0][1], run[0][2]


def _steps_text(first: int, last: int, one: Example) -> str:
    """Return the words from the first to the last step; the numbers of the steps, from 1, if there are no words."""
    steps = f"step {first + 1}" if first == last else f"steps {first + 1} to {last + 1}"
    return _words(Span("", first, last + 1), one) or steps


def _length(span: Span) -> int:
    return min(span.end - span.start, LONG)


def _start(span: Span) -> int:
    return span.start


def _steps(spans: Sequence[Span]) -> set[int]:
    """Return all steps that are inside a span."""
    return {step for span in spans for step in range(span.start, span.end)}


def _shown(spans: Sequence[Span], one: Example) -> str:
    """Return spans as a short text, such as `LOC New York; PER Ann`."""
    named = (
        f"{span.type} {_words(span, one) or f'steps {span.start + 1} to {span.end}'}".strip()
        for span in spans[:WORST]
    )
    return beginning("; ".join(named), CHARACTERS)


def _words(span: Span, one: Example) -> str:
    """Return the words of a span; an empty text if the steps are not words."""
    if not isinstance(one.x, tuple):
        return ""
    return beginning(one.x[span.start : span.end], CHARACTERS)
