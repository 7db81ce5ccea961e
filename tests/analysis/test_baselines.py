"""The sceptic's baselines on data with a known answer."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.analysis.baselines import (
    BASELINES,
    bag_of_words,
    dtw,
    fitting,
    forecast,
    majority,
    mlp,
    tags,
)
from unrolled.core.errors import DataError, MissingExtra, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.features.season import find_period
from unrolled.demo.sentence_maker import make


def examples(xs, ys) -> list[Example]:
    return [
        Example(x, y, Place(Path("data"), i)) for i, (x, y) in enumerate(zip(xs, ys, strict=True), start=1)
    ]


def accuracy(predictions, test: list[Example]) -> float:
    assert len(predictions) == len(test)
    return float(np.mean([p == e.y for p, e in zip(predictions, test, strict=True)]))


GOOD = ["lovely", "superb", "moving", "clever", "warm"]
BAD = ["dull", "noisy", "tiresome", "clumsy", "cold"]
PLAIN = ["the", "film", "was", "a", "story", "about", "people", "in", "town", "and", "their", "work", "with"]


def reviews(count: int, seed: int, noise: float = 0.1) -> list[Example]:
    """Twelve plain words, two or three that tell, of which one in ten tells wrongly; the good ones are rarer."""
    rng = np.random.default_rng(seed)
    xs, ys = [], []
    for _ in range(count):
        good = bool(rng.random() < 0.4)
        telling = [
            rng.choice(GOOD if good != (rng.random() < noise) else BAD) for _ in range(rng.integers(2, 4))
        ]
        row = [*rng.choice(PLAIN, 12), *telling]
        rng.shuffle(row)
        xs.append(" ".join(row))
        ys.append("good" if good else "bad")
    return examples(xs, ys)


TEXT_RUNS = [
    bag_of_words.words_logistic,
    bag_of_words.characters_logistic,
    bag_of_words.naive_bayes,
    bag_of_words.nb_svm,
]


@pytest.mark.parametrize("run", TEXT_RUNS)
def test_texts_beat_the_majority(run):
    pytest.importorskip("sklearn")
    train, test = reviews(240, 0), reviews(200, 1)
    trivial = accuracy(majority.majority_class(train, test).predictions, test)
    found = run(train, test, 0)
    assert trivial < 0.7
    assert accuracy(found.predictions, test) > 0.85
    assert found.seconds > 0 and "features" in found.note
    assert run(train, test, 0).predictions == found.predictions


@pytest.mark.parametrize("run", TEXT_RUNS)
def test_texts_of_three_classes(run):
    pytest.importorskip("sklearn")
    names = {"sea": "boat wave harbour", "sky": "cloud wing pilot", "soil": "root plough seed"}
    rng = np.random.default_rng(2)
    ys = [str(rng.choice(list(names))) for _ in range(120)]
    xs = [" ".join([*rng.choice(PLAIN, 5), *rng.choice(names[y].split(), 2)]) for y in ys]
    known = examples(xs, ys)
    assert accuracy(run(known[:90], known[90:], 0).predictions, known[90:]) > 0.9


def test_the_order_of_words_within_pairs_counts():
    """ "not good" and "good, not": single words cannot tell, pairs can."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(4)
    xs, ys = [], []
    for i in range(160):
        row = [*rng.choice(PLAIN, 4), *(["not", "good"] if i % 2 else ["good", "not"]), *rng.choice(PLAIN, 4)]
        xs.append(" ".join(row))
        ys.append("bad" if i % 2 else "good")
    known = examples(xs, ys)
    for run in (bag_of_words.words_logistic, bag_of_words.nb_svm):
        assert accuracy(run(known[:120], known[120:], 0).predictions, known[120:]) == 1.0


def test_the_log_count_ratio_by_hand():
    """One machine's weights from the paper's formulas, with a penalty so strong that the SVM hardly moves."""
    sparse = pytest.importorskip("scipy.sparse")
    svm = pytest.importorskip("sklearn.svm")
    x = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=float)
    inside = np.array([True, True, False, False])
    weights, level = bag_of_words._nb_machine(sparse.csr_matrix(x), inside, 0.1)
    ratio = np.log([3 / 6, 2 / 6, 1 / 6]) - np.log([1 / 6, 2 / 6, 3 / 6])
    machine = svm.LinearSVC(C=0.1, random_state=0, dual=True).fit(x * ratio, inside)
    w = machine.coef_[0]
    np.testing.assert_allclose(weights, (0.75 * np.abs(w).mean() + 0.25 * w) * ratio, atol=1e-8)
    assert level == pytest.approx(float(machine.intercept_[0]), abs=1e-8)


def test_texts_at_the_edges():
    pytest.importorskip("sklearn")
    one = examples(["a b", "c d"], ["same", "same"])
    assert bag_of_words.nb_svm(one, one, 0).predictions == ("same", "same")
    few = examples(["a b", "c d", "a a"], ["x", "y", "x"])
    assert bag_of_words.words_logistic(few, few, 0).predictions == ("x", "y", "x")
    joined = examples([("a", "b"), ("c", "d"), ("a", "a")], ["x", "y", "x"])
    assert bag_of_words.naive_bayes(joined, joined, 0).predictions == ("x", "y", "x")
    with pytest.raises(DataError, match="no words in the training texts"):
        bag_of_words.naive_bayes(examples([" ", "\t"], ["x", "y"]), few, 0)
    with pytest.raises(DataError, match="no examples"):
        bag_of_words.naive_bayes([], few, 0)
    with pytest.raises(DataError, match=r"data:2: no class"):
        bag_of_words.naive_bayes(examples(["a", "b"], ["x", None]), few, 0)


@pytest.mark.parametrize("run", [*TEXT_RUNS, tags.crf, mlp.connected_label])
def test_a_missing_package_is_told(run, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn_crfsuite", None)
    inputs = {tags.crf: [("a", "b")], mlp.connected_label: [np.ones((2, 1))]}.get(run, ["a b"])
    known = examples(inputs * 2, [("1", "0")] * 2 if run is tags.crf else ["x", "y"])
    package = "sklearn-crfsuite" if run is tags.crf else "scikit-learn"
    with pytest.raises(
        MissingExtra, match=rf"{package} is not installed; try pip install 'unrolled\[compare\]'"
    ):
        run(known, known, 0)


def test_trivial_answers():
    known = examples(["a", "b", "c"], ["z", "y", "z"])
    assert majority.majority_class(known, known[:2]).predictions == ("z", "z")
    tie = examples(["a", "b"], ["z", "y"])
    assert majority.majority_class(tie, known[:1]).predictions == ("y",)
    rows = examples([("a", "b"), ("c",)], [("0", "1"), ("0",)])
    assert majority.majority_tag(rows, rows).predictions == (("0", "0"), ("0",))
    reals = examples([np.ones((3, 1))] * 2, [(1.0, 4.0), (3.0, 0.0)])
    (answer,) = majority.mean_number(reals, reals[:1]).predictions
    np.testing.assert_array_equal(answer, [2.0, 2.0])


def test_the_most_frequent_tag_of_each_word():
    train = examples([("a", "b", "a"), ("a", "b"), ("c",)], [("X", "Y", "Z"), ("X", "Y"), ("Y",)])
    test = examples([("b", "a", "unseen"), ("A",)], [None, None])
    assert tags.word_tag(train, test).predictions == (("Y", "X", "Y"), ("Y",))
    with pytest.raises(DataError, match="data:1: 1 tags for 2 tokens"):
        tags.word_tag(examples([("a", "b")], [("X",)]), test)
    with pytest.raises(DataError, match="not split into tokens"):
        tags.word_tag(examples(["ab"], [("X", "Y")]), test)


def right(predictions, test) -> float:
    pairs = [(a, b) for p, e in zip(predictions, test, strict=True) for a, b in zip(p, e.y, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


def test_crf_on_the_demo_s_sentences():
    pytest.importorskip("sklearn_crfsuite")
    train, test = make(0, 400, "train"), make(0, 300, "test")
    found = tags.crf(train, test, 0)
    assert [len(p) for p in found.predictions] == [len(e.x) for e in test]
    words = right(tags.word_tag(train, test).predictions, test)
    trivial = right(majority.majority_tag(train, test).predictions, test)
    assert trivial < words < 0.92 < right(found.predictions, test)
    assert "picked on 400 sentences" in found.note
    assert tags.crf(train, test, 0).predictions == found.predictions


def test_features():
    found = tags.features(("Dr.", "McKay's", "2nd"))
    assert len(found) == 3
    assert {"word=McKay's", "lower=mckay's", "shape=XxXx'x", "begin=mcka", "end=y's", "-1:lower=dr."} <= set(
        found[1]
    )
    assert "digits" in found[2] and "digits" not in found[0]
    assert "-1:none" in found[0] and "1:none" in found[2] and "2:shape=0x" in found[0]
    assert [tags.shape(word) for word in ("", "iOS", "2026", "A-b")] == ["", "xX", "0", "X-x"]


def brute(x: np.ndarray, y: np.ndarray, band: float | None) -> float:
    """The recursion of warping, cell by cell."""
    n, m = len(x), len(y)
    reach = max(n, m) if band is None else max(int(band * max(n, m)), abs(n - m))
    table = np.full((n + 1, m + 1), np.inf)
    table[0, 0] = 0
    for i, j in itertools.product(range(n), range(m)):
        if abs(i - j) <= reach:
            cost = float(((x[i] - y[j]) ** 2).sum())
            table[i + 1, j + 1] = cost + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return float(table[n, m])


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=6),
    st.integers(1, 7),
    st.integers(1, 3),
    st.sampled_from([None, 0.0, 0.2, 0.5]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 40, 1 << 21]),
)
@settings(max_examples=200)
def test_warping_equals_the_recursion(lengths, length, channels, band, seed, block):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(length, channels))
    others = [rng.normal(size=(n, channels)) for n in lengths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dtw, "BLOCK", block)
        found = dtw.distances(x, others, band)
    np.testing.assert_allclose(found, [brute(x, other, band) for other in others], rtol=1e-12)


def test_warping_forgives_shifts():
    """Two bumps in one order or the other, anywhere: the Euclidean neighbour is lost, the warped one is not."""
    rng = np.random.default_rng(0)

    def series(kind: str) -> np.ndarray:
        at = np.sort(rng.choice(np.arange(5, 75, 10), 2, replace=False)) + rng.integers(0, 5, 2)
        steps, row = np.arange(80), rng.normal(0, 0.05, 80)
        for where, sign in zip(at, (1, -1) if kind == "up" else (-1, 1), strict=True):
            row += sign * np.exp(-0.5 * ((steps - where) / 2) ** 2)
        return row[:, None]

    ys = ["up", "down"] * 30
    known = examples([series(y) for y in ys], ys)
    found = dtw.nearest(known[:30], known[30:], 0)
    assert accuracy(found.predictions, known[30:]) > 0.95
    assert "no band" in found.note
    stiff = dtw.nearest(known[:30], known[30:], 0, [0.0])
    assert accuracy(stiff.predictions, known[30:]) < 0.9 and "band 0%" in stiff.note


def test_the_scale_is_picked_on_the_training_part():
    """A small channel tells and a large one is noise: as it is, the large one drowns it."""
    rng = np.random.default_rng(2)
    ys = ["a", "b"] * 30
    xs = [np.stack([rng.normal(0, 50, 8), rng.normal((y == "a") * 3, 0.2, 8)], axis=1) for y in ys]
    known = examples(xs, ys)
    found = dtw.nearest(known[:40], known[40:], 0)
    assert found.note.startswith("standardised by channel")
    assert accuracy(found.predictions, known[40:]) > 0.9


def test_warping_is_quick_enough():
    rng = np.random.default_rng(0)
    asked, known = list(rng.normal(size=(40, 100, 6))), list(rng.normal(size=(40, 100, 6)))
    start = time.perf_counter()
    assert all(dtw.distances(x, known).shape == (40,) for x in asked)
    assert time.perf_counter() - start < 10  # about one on a quiet machine


def test_warping_keeps_to_some_of_many(monkeypatch):
    monkeypatch.setattr(dtw, "MOST", 4)
    known = examples([np.full((3, 1), float(i)) for i in range(9)], [str(i) for i in range(9)])
    found = dtw.nearest(known, known, 0)
    assert found.note == "as it is, no band, 4 of 9 training series" and len(set(found.predictions)) == 4


def test_the_connected_network_learns_positions():
    """Whether step 3 is above step 7: a matter of place, not of any summary."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    xs = [rng.normal(size=(10, 2)) for _ in range(500)]
    known = examples(xs, ["over" if x[3, 0] > x[7, 0] else "under" for x in xs])
    found = mlp.connected_label(known[:350], known[350:], 0)
    assert accuracy(found.predictions, known[350:]) > 0.85
    trivial = accuracy(majority.majority_class(known[:350], known[350:]).predictions, known[350:])
    assert trivial < 0.65
    assert mlp.connected_label(known[:350], known[350:], 0).predictions == found.predictions


def test_the_connected_network_pads_and_cuts():
    known = examples([np.arange(1.0, n + 1)[:, None] for n in (1, 2, 3)], ["a", "b", "c"])
    long = examples([np.arange(1.0, 9.0)[:, None]], [None])
    x, asked, steps = mlp._rows(known, long)
    mean, deviation = np.mean([1, 1, 2, 1, 2, 3]), np.std([1, 1, 2, 1, 2, 3])
    assert steps == 3 and x.shape == (3, 3)
    np.testing.assert_allclose(x[0], [(1 - mean) / deviation, 0, 0])
    np.testing.assert_allclose(asked[0], (np.array([1, 2, 3]) - mean) / deviation)
    with pytest.raises(DataError, match="data:1: 2 numbers per step; expected 1"):
        mlp._rows(known, examples([np.ones((2, 2))], [None]))


def error(found, test) -> float:
    return float(np.mean([np.square(p - np.array(e.y)).mean() for p, e in zip(found, test, strict=True)]))


def numbers(count: int, targets: int) -> list[Example]:
    rng = np.random.default_rng(5)
    xs = [rng.normal(rng.normal(), 1, size=(rng.integers(5, 9), 2)) for _ in range(count)]
    ys = [(float(100 + 50 * x[:, 0].mean() - 20 * x[:, 1].max()), float(x[-1, 0]))[:targets] for x in xs]
    return examples(xs, ys)


@pytest.mark.parametrize("targets", [1, 2])
def test_reals_beat_the_mean(targets):
    known = numbers(200, targets)
    train, test = known[:150], known[150:]
    trivial = error(majority.mean_number(train, test).predictions, test)
    summary = mlp.ridge_summary(train, test, 0)
    assert all(p.shape == (targets,) for p in summary.predictions)
    assert error(summary.predictions, test) < 0.01 * trivial
    last = forecast.ridge_last(train, test, 0, 4)
    assert error(last.predictions, test) < 0.5 * trivial
    pytest.importorskip("sklearn")
    connected = mlp.connected_number(train, test, 0)
    assert all(p.shape == (targets,) for p in connected.predictions)
    assert error(connected.predictions, test) < 0.5 * trivial


def test_summary():
    x = np.array([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
    found = mlp.summary(x).reshape(-1)[:-1].reshape(8, 2)
    np.testing.assert_allclose(found[:, 0], [3, np.std([1, 3, 5]), 1, 5, 1, 5, 2, 2])
    np.testing.assert_allclose(found[:, 1], [5, 0, 5, 5, 5, 5, 0, 0])
    assert mlp.summary(x)[-1] == pytest.approx(np.log(3))
    assert np.isfinite(mlp.summary(x[:1])).all()


@pytest.mark.parametrize("period", [5, 12, 24])
def test_the_period_is_found(period):
    rng = np.random.default_rng(period)
    shape = rng.normal(size=period)
    parts = [np.tile(shape, 20)[:, None] + rng.normal(0, 0.2, (20 * period, 1)) + 7 for _ in range(2)]
    assert find_period(parts) == period
    test = examples([np.tile(shape, 3)[:, None]], [None])
    found = forecast.seasonal(examples(parts, [None] * 2), test, 0)
    assert found.note == f"period {period}"
    np.testing.assert_allclose(found.predictions[0][period:], test[0].x[period:])


def test_without_a_season_the_last_value_stands():
    rng = np.random.default_rng(0)
    walk = examples([np.cumsum(rng.normal(size=(400, 1)), axis=0)], [None])
    found = forecast.seasonal(walk, walk, 0)
    assert found.name == "the last value"
    np.testing.assert_array_equal(found.predictions[0][1:], walk[0].x[:-1])
    np.testing.assert_allclose(found.predictions[0][0], walk[0].x.mean(axis=0))
    flat = examples([np.ones((9, 2))], [None])
    np.testing.assert_array_equal(forecast.seasonal(flat, flat, 0).predictions[0], np.ones((9, 2)))
    short = examples([np.ones((1, 2))], [None])
    assert forecast.seasonal(short, short, 0).predictions[0].shape == (1, 2)
    given_one = forecast.seasonal(walk, examples([np.arange(5.0)[:, None]], [None]), 0, 3).predictions[0]
    np.testing.assert_array_equal(given_one[1:, 0], [0, 1, 0, 1])
    with pytest.raises(UsageError, match="period of 0"):
        forecast.seasonal(walk, walk, 0, 0)


def test_ridge_learns_a_recurrence():
    """x_t = 1.6 x_{t-1} - 0.9 x_{t-2} + noise: the best error is the noise."""
    rng = np.random.default_rng(0)

    def series(n: int) -> np.ndarray:
        x = [0.0, 0.0]
        for _ in range(n):
            x.append(1.6 * x[-1] - 0.9 * x[-2] + 0.1 * rng.normal())
        return np.array(x[2:])[:, None] + 20

    train, test = examples([series(600), series(300)], [None] * 2), examples([series(400)], [None])
    found = forecast.ridge_next(train, test, 0, 6).predictions[0]
    assert found.shape == (400, 1)
    assert 0.008 < np.square(found - test[0].x)[10:].mean() < 0.013
    naive = forecast.seasonal(train, test, 0, 1).predictions[0]
    assert np.square(naive - test[0].x)[10:].mean() > 0.03
    with pytest.raises(UsageError, match="last 0 values"):
        forecast.ridge_next(train, test, 0, 0)


@pytest.mark.parametrize("run", BASELINES["numbers:next"])
@given(cut=st.integers(1, 29), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_a_forecast_never_sees_what_it_forecasts(run, cut, seed):
    rng = np.random.default_rng(seed)
    train = examples([rng.normal(size=(40, 2))], [None])
    x = rng.normal(size=(30, 2))
    changed = x.copy()
    changed[cut:] += 5
    before, after = (run(train, examples([part], [None]), 0).predictions[0] for part in (x, changed))
    np.testing.assert_array_equal(before[: cut + 1], after[: cut + 1])


def test_ridge_is_the_least_of_its_objective():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    stacked = np.concatenate([z, np.sqrt(2.0) * np.eye(4)])
    w = np.linalg.lstsq(stacked, np.concatenate([y - y.mean(axis=0), np.zeros((4, 2))]))[0]
    np.testing.assert_allclose(fitting.ridge(x, y, 2.0)(x), z @ w + y.mean(axis=0), atol=1e-10)


def test_picking_keeps_to_the_training_part():
    for count, many in ((9, 100), (10, 100), (99, 100), (100, 100)):
        splits = fitting.folds(count, 0, many)
        assert len(splits) == (0 if count < 10 else 1 if count >= many else 5)
        for fit, check in splits:
            assert sorted([*fit, *check]) == list(range(count))
    assert fitting.pick(("a", "b", "c"), [], lambda option, split: 0.0) == "b"
    splits = fitting.folds(20, 0)
    assert (
        fitting.pick(("a", "b", "c"), splits, lambda option, split: {"a": 1.0, "b": 2.0, "c": 2.0}[option])
        == "b"
    )


def test_series_that_are_none():
    good = np.ones((2, 1))
    for x, message in (
        ("text", "not numbers"),
        (np.ones(3), "not numbers"),
        (np.ones((0, 1)), "not numbers"),
        (np.array([[1.0], [np.inf]]), "not finite"),
    ):
        with pytest.raises(DataError, match=f"data:2: .*{message}"):
            dtw.nearest(examples([good, x], ["a", "b"]), examples([good], ["a"]), 0)
    with pytest.raises(DataError, match="data:1: no numbers"):
        mlp.ridge_summary(examples([good], ["a"]), examples([good], ["a"]), 0)
    with pytest.raises(DataError, match="data:2: 1 numbers as the target; expected 2"):
        mlp.ridge_summary(examples([good] * 2, [(1.0, 2.0), (1.0,)]), examples([good], [None]), 0)


def test_every_kind_of_task_has_its_baselines():
    for task, runs in BASELINES.items():
        names = [run.__name__ for run in runs]
        trivial_only = task in ("audio:label", "numbers:tags")
        assert len(set(names)) == len(names) >= (1 if trivial_only else 2)
