"""Numbers as they come: the answers to chunks of any size are those to the whole series."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.core.config import build as configure
from unrolled.core.errors import DataError, UsageError
from unrolled.core.progress import Silent
from unrolled.core.types import Example, Place
from unrolled.inference import streaming_numbers
from unrolled.inference.open_model import Predictor, open_trained
from unrolled.inference.predictor import answer
from unrolled.training.fit import fit
from unrolled.training.supervised_job import request_from_files

SMALL = {"hidden": 8, "epochs": 2, "threads": 1}
FORWARD = {"bidirectional": False, "pooling": "last"}
LEVELS = np.array([3.0, -50.0])
X = np.random.default_rng(0).normal(size=(40, 2)) + LEVELS
X[[0, 7, 8, 20, 33], [1, 0, 0, 1, 0]] = np.nan  # numbers that are missing


@cache
def trained(task: str, **options: object) -> Predictor:
    folder = Path(mkdtemp())
    chance = np.random.default_rng(1)
    rows = [
        (f"s{n}", *(chance.normal(size=2) + LEVELS), "up" if n % 2 else "down")
        for n in range(12)
        for _ in range(9)
    ]
    names = {
        "numbers:next": "x=a+b,by=id",
        "numbers:label": "x=a+b,y=class,by=id",
        "numbers:sequence": "x=a+b,y=class,by=id",
        "numbers:tags": "x=a+b,y=class,by=id",
    }
    (folder / "t.csv").write_text(
        "id,a,b,class\n" + "".join(f"{i},{a:.3f},{b:.3f},{c}\n" for i, a, b, c in rows)
    )
    config = configure(task, {**SMALL, "columns": names[task], "history": 16, **options})
    fit(request_from_files(config, [folder / "t.csv"], [], [], folder / "m"), Silent())
    return open_trained(folder / "m")


def streamed(model: Predictor, sizes: list[int]) -> list[dict[str, object]]:
    stream, records, at = streaming_numbers.begin(model), [], 0
    for size in [*sizes, len(X)]:
        told, stream = streaming_numbers.read(model, stream, X[at : at + size])
        records += [dict(one.record) for one in told]
        at += size
    assert stream.steps == len(X)
    return records


@settings(max_examples=10)
@given(st.lists(st.integers(0, 13), max_size=6))
def test_surprises_of_a_stream_are_those_of_the_whole_series(sizes):
    model = trained("numbers:next")
    records = streamed(model, sizes)
    whole = answer(model, Example(X, None, Place(Path("x"), 1)), 1).record
    assert [one["step"] for one in records] == list(range(1, len(X) + 1))
    assert records[0]["surprise"] is None
    np.testing.assert_allclose(
        np.array([one["surprise"] for one in records[1:]], float),
        np.array(whole["surprise"][1:], float),
        rtol=1e-5,
    )
    np.testing.assert_allclose(np.array(records[-1]["next"]), whole["next"], rtol=1e-5)
    anomalies = [one["step"] for one in records if one["anomaly"]]
    assert anomalies == sorted(whole.get("anomalies", []))
    assert whole["step"] == max(records[1:], key=lambda one: one["surprise"] or 0.0)["step"], (
        "one base of all steps"
    )


@settings(max_examples=10)
@given(st.lists(st.integers(0, 13), max_size=6))
def test_classes_of_a_stream_are_those_that_predict_gives_after_each_step(sizes):
    model = trained("numbers:label", **FORWARD)
    records = streamed(model, sizes)
    whole = answer(model, Example(X, None, Place(Path("x"), 1)), 1).record
    assert [one["label"] for one in records] == whole["steps"]
    assert [one["step"] for one in records] == list(range(1, len(X) + 1))


def test_tags_of_a_stream_are_those_of_the_whole_series():
    model = trained("numbers:tags", bidirectional=False, crf=False)
    whole = answer(model, Example(X, None, Place(Path("x"), 1)), 1)
    stream, told = streaming_numbers.begin(model), list[str]()
    for row in X:
        (one,), stream = streaming_numbers.read(model, stream, row[None])
        told.append(one.text)
    assert told == whole.text.split()


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        ("numbers:label", {}, "expected a model trained with --no-bidirectional --pooling last"),
        ("numbers:label", {"bidirectional": False, "pooling": "max"}, "--pooling last"),
        ("numbers:tags", {}, "expected a model trained with --no-bidirectional"),
        ("numbers:sequence", {"bidirectional": False}, "reads the whole series before it writes a text"),
        ("numbers:sequence", {}, "expected a model that answers with classes, numbers or tags"),
    ],
)
def test_a_model_that_reads_the_whole_series_first_says_so(task, options, said):
    with pytest.raises(UsageError, match=said):
        streaming_numbers.begin(trained(task, **options))


def test_a_bad_chunk_is_an_error_and_the_stream_goes_on():
    model = trained("numbers:next")
    _, stream = streaming_numbers.read(model, streaming_numbers.begin(model), X[:5])
    for chunk in (X[:2, :1], [[1.0, np.inf]], [1.0, 2.0]):
        with pytest.raises(DataError):
            streaming_numbers.read(model, stream, chunk)
    told, after = streaming_numbers.read(model, stream, X[5:7])
    assert [one.record["step"] for one in told] == [6, 7] and after.steps == 7
    assert streaming_numbers.read(model, stream, X[:0]) == ([], stream)
