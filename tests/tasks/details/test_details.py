"""Details of an evaluation against values computed by hand, and confidence intervals against their coverage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pytest

from unrolled.core.config import build
from unrolled.core.types import Example, Place
from unrolled.tasks.details import intervals
from unrolled.tasks.details.of_classes import confusions
from unrolled.tasks.details.of_numbers import by_output, names_of
from unrolled.tasks.details.parts import Details, Evaluated, Matrix, Table
from unrolled.tasks.metrics import classification
from unrolled.tasks.outputs import OUTPUTS
from unrolled.tasks.outputs.label import Label
from unrolled.tasks.outputs.tags import Tags


def examples_of(*xs: object):
    """Return a function as `Evaluated.examples`: example i is `xs[i]`, in line i + 1 of the file f."""

    def chosen(numbers: Collection[int]) -> Mapping[int, Example]:
        return {number: Example(xs[number], None, Place(Path("f"), number + 1)) for number in numbers}

    return chosen


def details_of(
    kind: str, output: object, y: list[np.ndarray], answers: list[np.ndarray], *xs: object
) -> Details:
    found = OUTPUTS[kind].details
    assert found is not None
    return found(output, Evaluated(y, answers, {}, build("classify"), examples_of(*xs)))


def table(details: Details, title: str) -> Table:
    return next(part for part in details.parts if isinstance(part, Table) and part.title.startswith(title))


def test_details_of_classes_by_hand():
    output = Label(("bad", "good", "new"))
    y = [np.array(0), np.array(0), np.array(1), np.array(1)]
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]])
    details = details_of("label", output, y, [np.log(row)[None] for row in p], "a", "b  b", "c", "d" * 300)
    assert details.json["confusion"] == {
        "classes": ["bad", "good", "new"],
        "counts": [[1, 1, 0], [1, 1, 0], [0] * 3],
    }
    classes = details.json["classes"]
    assert classes == [
        {"class": name, "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2, "predicted": 2}
        for name in ("bad", "good")
    ]
    worst = details.json["worst"]
    assert isinstance(worst, list)
    assert [(one["line"], one["true"], one["predicted"]) for one in worst] == [
        (4, "good", "bad"),
        (2, "bad", "good"),
    ]
    assert worst[0]["true_probability"] == pytest.approx(0.05) and worst[0]["probability"] == pytest.approx(
        0.9
    )
    assert worst[1]["text"] == "b b" and worst[0]["text"] == "d" * 197 + "..."
    assert table(details, "worst errors").rows[0][0] == "f:4"
    bins = details.json["reliability"]
    assert isinstance(bins, list) and sum(one["count"] for one in bins) == 4
    assert not details.intervals  # four items are too few


def test_many_classes_begin_with_the_most_confused():
    names = [f"class {i}" for i in range(30)]
    counts = np.diag(np.full(30, 10))
    counts[7, 3], counts[3, 7] = 6, 2
    parts, plain = confusions(names, counts)
    first, every = (part for part in parts if isinstance(part, Matrix))
    assert set(first.rows[:2]) == {"class 3", "class 7"} and first.columns[-1] == "(others)"
    assert all(sum(row) == total for row, total in zip(first.counts, first.totals, strict=True))
    assert len(every.rows) == 30 and every.folded and not every.on_terminal
    assert plain["confused"] == [
        {"true": "class 7", "predicted": "class 3", "count": 6, "fraction": 6 / 16},
        {"true": "class 3", "predicted": "class 7", "count": 2, "fraction": 2 / 12},
    ]


def test_details_of_spans_by_hand():
    """Found: one; then a wrong type, a wrong boundary, a missed span and an extra one."""
    names = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    output = Tags(names, "bio", crf=False)
    gold = ["B-PER", "I-PER", "O", "B-LOC", "O", "B-PER", "I-PER", "O", "B-LOC", "O", "O"]
    said = ["B-PER", "I-PER", "O", "B-PER", "O", "B-PER", "O", "O", "O", "O", "B-LOC"]
    y = [np.array([names.index(tag) for tag in gold])]
    answers = [np.log(np.eye(5)[[names.index(tag) for tag in said]] * 0.9 + 0.02)]
    details = details_of("tags", output, y, answers, tuple("abcdefghijk"))
    assert details.json["span_errors"] == {"wrong_type": 1, "wrong_boundaries": 1, "missed": 1, "extra": 1}
    lengths = details.json["lengths"]
    assert isinstance(lengths, list)
    assert [(one["length"], one["support"], one["predicted"], one["f1"]) for one in lengths] == [
        ("1", 2, 3, 0.0),
        ("2", 2, 1, pytest.approx(2 / 3)),
    ]
    types = details.json["types"]
    assert isinstance(types, list)
    assert [(one["type"], one["support"], one["predicted"]) for one in types] == [
        ("LOC", 2, 1),
        ("PER", 2, 3),
    ]
    worst = details.json["worst"]
    assert isinstance(worst, list) and worst[0]["wrong"] == 6
    assert [span["text"] for span in worst[0]["missed"]] == ["d", "f g", "i"]


def test_steps_without_a_tag_and_unseen_tags_have_details():
    output = Tags(("N", "V"), "none", crf=False, unseen=("X",))
    y = [np.array([0, -1, -2]), np.array([-1])]
    answers = [np.log(np.array([[0.2, 0.8], [0.9, 0.1], [0.9, 0.1]])), np.log(np.array([[0.5, 0.5]]))]
    details = details_of("tags", output, y, answers, ("dogs", "run", "off"), ("x",))
    assert table(details, "worst sequences").rows == (
        ("f:1", 2, "dogs run off", "dogs: V, not N; off: N, not X"),
    )
    assert details.json["confusion"] == {
        "classes": ["N", "V", "X"],
        "counts": [[0, 1, 0], [0, 0, 0], [1, 0, 0]],
    }


def test_outputs_of_a_forecast_are_named_by_step_and_column():
    assert names_of(2, None) == ["number 1", "number 2"]
    assert names_of(2, 2) == ["step 1", "step 2"]
    assert names_of(4, 2) == ["step 1, column 1", "step 1, column 2", "step 2, column 1", "step 2, column 2"]
    truth = np.arange(12.0).reshape(3, 4)
    parts, plain = by_output(truth, truth + np.arange(1, 5), None, 2)
    assert [type(part).__name__ for part in parts] == ["Lines", "Table"]
    outputs = plain["outputs"]
    assert isinstance(outputs, list) and [one["mae"] for one in outputs] == [1, 2, 3, 4]


def test_an_interval_contains_the_true_value_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    tables = rng.multinomial(200, [0.4, 0.1, 0.1, 0.4], size=200).reshape(-1, 2, 2)
    found = [intervals.of_table(one, classification.accuracy) for one in tables]
    assert all(found)
    assert 0.90 <= np.mean([ends is not None and ends[0] <= 0.8 <= ends[1] for ends in found]) <= 0.99
    rows = rng.exponential(1.0, size=(200, 300))
    ones = np.ones((300, 1))
    sums = [intervals.of_sums(np.hstack([row[:, None], ones]), lambda s: float(s[0] / s[1])) for row in rows]
    assert 0.90 <= np.mean([ends is not None and ends[0] <= 1.0 <= ends[1] for ends in sums]) <= 0.99


def test_blocks_give_wider_intervals_for_items_that_are_alike():
    rng = np.random.default_rng(2)
    rows = np.repeat(rng.standard_normal(100), 20)[:, None]
    alone = intervals.of_sums(rows, lambda sums: float(sums[0]))
    together = intervals.of_sums(rows, lambda sums: float(sums[0]), block=20)
    assert alone is not None and together is not None
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


def test_large_sets_are_added_up_in_groups_without_changing_the_interval():
    rows = np.random.default_rng(3).standard_normal((40_000, 1)) + 5
    found = intervals.of_sums(rows, lambda sums: float(sums[0]) / 40_000)
    assert found is not None
    assert found == pytest.approx((rows.mean() - 1.96 / 200, rows.mean() + 1.96 / 200), abs=0.001)


def test_few_items_and_equal_samples_have_no_interval():
    assert intervals.of_table(np.array([[10, 2], [3, 4]]), classification.accuracy) is None
    assert intervals.of_table(np.array([[100, 0], [0, 100]]), classification.accuracy) is None
    assert intervals.of_sums(np.ones((19, 1)), lambda sums: float(sums[0])) is None
