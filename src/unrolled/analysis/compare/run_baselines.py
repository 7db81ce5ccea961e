"""The sceptic's baselines at work: which there are for a task, and running them so that none takes the others down.

What a baseline answered is kept in a file, so that a comparison that goes on does not compute it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from unrolled.analysis.baselines import BASELINES, Baseline, Run
from unrolled.analysis.baselines.bag_of_words import WORD
from unrolled.analysis.baselines.example_arrays import (
    RIDGES,
    folds,
    module,
    most_frequent,
    pick,
    reals,
    scaling,
    series,
    tagged,
    texts,
)
from unrolled.analysis.baselines.forecast import find_period
from unrolled.analysis.baselines.majority import mean_number
from unrolled.core.atomic_files import write_atomically
from unrolled.core.errors import MissingExtra, UnrolledError
from unrolled.core.types import Example, Integers

SEEN = 2_000  # training windows in which a season is looked for, evenly spaced


@dataclass(frozen=True)
class Rival:
    """What a baseline answered to the scored part, in order; None where it could not run, which the note explains."""

    name: str
    answers: list[Any] | None
    seconds: float
    note: str = ""


Rivals = Mapping[str, Callable[[], Rival]]  # by a short name that stays the same


def of_examples(
    kinds: str, horizon: int | None, train: Callable[[], Iterator[Example]], scored: Sequence[Example]
) -> Rivals:
    """The baselines of a task (INPUT:OUTPUT); horizon: of a forecast, whose y is that many steps of all numbers.

    train: the training part, read when the first of them runs, and then held in memory.
    """
    found = (*BASELINES.get(kinds, ()), *OTHERS.get(kinds, ()))
    runs: dict[str, Run] = {run.__name__: run for run in found}
    if horizon:
        runs["seasonal"] = partial(seasonal, horizon=horizon)
    once = cache(lambda: tuple(train()))
    return {name: partial(_run, run, once, scored) for name, run in runs.items()}


def _run(run: Run, train: Callable[[], Sequence[Example]], scored: Sequence[Example]) -> Rival:
    found = run(train(), scored, 0)
    return Rival(found.name, [_plain(answer) for answer in found.predictions], found.seconds, found.note)


def _plain(answer: Any) -> Any:
    """An answer as JSON has it."""
    match answer:
        case np.ndarray():
            return answer.tolist()
        case tuple():
            return list(answer)
        case _:
            return answer


def attend(rivals: Rivals, file: Path, key: Mapping[str, Any]) -> Iterator[Rival]:
    """Run each, or take what it answered before, where `file` was written under the same key.

    A baseline that fails is told with its reason, and tried again the next time; it stops nobody else.
    """
    kept: dict[str, Any] = _read(file, key)
    for name, run in rivals.items():
        if name in kept:
            yield Rival(**kept[name])
            continue
        try:
            rival = run()
        except MissingExtra as error:
            yield Rival(_titled(name), None, 0.0, f"not installed: {error.hint}")
            continue
        except UnrolledError as error:
            yield Rival(_titled(name), None, 0.0, str(error))
            continue
        except Exception as error:  # another package's, of any kind: the comparison goes on without it
            reason = " ".join(str(error).split())
            yield Rival(_titled(name), None, 0.0, f"{type(error).__name__}: {reason[:200]}")
            continue
        kept[name] = asdict(rival)
        write_atomically(file, json.dumps({"key": dict(key), "rivals": kept}).encode())
        yield rival


def _titled(name: str) -> str:
    return name.replace("_", " ")


def _read(file: Path, key: Mapping[str, Any]) -> dict[str, Any]:
    """What was kept; nothing where the file is missing, damaged or of another key."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return content["rivals"] if content["key"] == json.loads(json.dumps(dict(key))) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def seasonal(train: Sequence[Example], test: Sequence[Example], seed: int = 0, horizon: int = 1) -> Baseline:
    """The next `horizon` steps are what they were a period before; without a period the last step again.

    x: windows of a series [T_x, n_x]; the answers are flat, [horizon * n_x]. Raises DataError.
    """
    start = perf_counter()
    known = series(train)
    lag = find_period(known[:: max(1, len(known) // SEEN)])
    answers = tuple(_repeated(x, lag, horizon) for x in series([*train[:1], *test])[1:])
    name = "the last value" if lag == 1 else "seasonal naive"
    return Baseline(name, answers, perf_counter() - start, f"period {lag}")


def _repeated(x: Any, lag: int, horizon: int) -> Any:
    season = x[-min(lag, len(x)) :]
    return season[np.arange(horizon) % len(season)].reshape(-1)


def majority_step(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """The most frequent tag of all for every step of a series."""
    start = perf_counter()
    answer = most_frequent(tag for tags in tagged(train) for tag in tags)
    predictions = tuple((answer,) * len(example.x) for example in test)
    return Baseline("most frequent tag", predictions, perf_counter() - start, answer)


def words_ridge(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Ridge regression on TF-IDF weights of words and pairs of words. Raises MissingExtra, DataError."""
    start = perf_counter()
    extraction = module("sklearn.feature_extraction.text", "scikit-learn")
    linear = module("sklearn.linear_model", "scikit-learn")
    counter = extraction.TfidfVectorizer(ngram_range=(1, 2), token_pattern=WORD, sublinear_tf=True)
    x, targets = counter.fit_transform(texts(train)), reals(train)
    mean, deviation = scaling(targets)
    y = (targets - mean) / deviation

    def score(strength: float, split: tuple[Integers, Integers]) -> float:
        fit, check = split
        answers = linear.Ridge(alpha=strength).fit(x[fit], y[fit]).predict(x[check])
        return -float(np.square(answers.reshape(len(check), -1) - y[check]).mean())

    strength = pick(RIDGES, folds(len(y), seed), score)
    answers = linear.Ridge(alpha=strength).fit(x, y).predict(counter.transform(texts(test)))
    note = f"strength {strength:g}, {x.shape[1]:,} features"
    rows = np.asarray(answers, dtype=np.float64).reshape(len(test), -1) * deviation + mean
    return Baseline("TF-IDF words 1-2, ridge", tuple(rows), perf_counter() - start, note)


# What the shelf has no baselines for.
OTHERS: Mapping[str, tuple[Run, ...]] = {
    "tokens:number": (mean_number, words_ridge),
    "numbers:tags": (majority_step,),
}
