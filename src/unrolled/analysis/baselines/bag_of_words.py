"""Bag-of-words baselines for texts: naive Bayes, NB-SVM, logistic and ridge regression on n-grams.

The n-grams are of words or of characters. The vocabulary of n-grams comes from all training texts, also for
the inner splits that choose an option. It never comes from the test set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.analysis.baselines.example_arrays import labels, reals, texts
from unrolled.analysis.baselines.fitting import (
    RIDGES,
    Baseline,
    agreement,
    folds,
    module,
    pick,
    scaling,
    unhurried,
)
from unrolled.core.errors import DataError
from unrolled.core.types import Example, Floats, Integers

WORD = r"(?u)\w+|[^\w\s]"  # punctuation is included, since "!" is informative in a review
C_LOGISTIC = (0.5, 2.0, 8.0, 32.0)
C_SVM = (0.01, 0.1, 1.0)
ALPHAS = (1.0, 0.3, 0.1)
NB_MIX = 0.25  # the paper's beta

Counts = Any  # a sparse matrix [texts, features] of SciPy, which has no types
Vectorizer = Any  # of scikit-learn, which has none either
# Fit takes rows of counts and their classes, and returns a function that predicts classes for other rows.
Fitted = Callable[[Counts], list[str]]
Fit = Callable[[Counts, Sequence[str], float], Fitted]


def words_logistic(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Logistic regression on TF-IDF weights of words and word pairs. Raises MissingExtra, DataError."""
    counter = _tf_idf("word", (1, 2), len(train))
    return _run("TF-IDF words 1-2, logistic regression", counter, _logistic, C_LOGISTIC, train, test, seed)


def characters_logistic(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Logistic regression on TF-IDF weights of 1 to 5 characters in words. Raises MissingExtra, DataError."""
    counter = _tf_idf("char_wb", (1, 5), len(train))
    name = "TF-IDF characters 1-5, logistic regression"
    return _run(name, counter, _logistic, C_LOGISTIC, train, test, seed)


def naive_bayes(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Multinomial naive Bayes on counts of words and word pairs. Raises MissingExtra, DataError."""
    counter = _counts(binary=False)
    return _run("naive Bayes words 1-2", counter, _multinomial, ALPHAS, train, test, seed)


def nb_svm(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Linear SVM on the presence of words and word pairs, scaled by their log-count ratio.

    With more than two classes there is one SVM per class (one against the rest). Raises MissingExtra,
    DataError.

    S. Wang, C. Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification", ACL 2012.
    """
    return _run("NB-SVM words 1-2", _counts(binary=True), _nb_svm, C_SVM, train, test, seed)


def _run(
    name: str,
    counter: Vectorizer,
    fit: Fit,
    options: Sequence[float],
    train: Sequence[Example],
    test: Sequence[Example],
    seed: int,
) -> Baseline:
    start = perf_counter()
    known, asked, classes = texts(train), texts(test), labels(train)
    if len(set(classes)) == 1:
        return Baseline(name, (classes[0],) * len(asked), perf_counter() - start, "one class only")
    try:
        x = counter.fit_transform(known)
    except (
        ValueError
    ) as error:  # the vocabulary is empty; there is no other cause, since the texts are strings
        where = train[0].place
        raise DataError("no words in the training texts", file=where.file, expected="text") from error

    def score(option: float, split: tuple[Integers, Integers]) -> float:
        inner, check = split
        chosen = [classes[i] for i in inner]
        answers = (
            fit(x[inner], chosen, option)(x[check]) if len(set(chosen)) > 1 else [chosen[0]] * len(check)
        )
        return agreement(answers, [classes[i] for i in check])

    with unhurried():
        option = pick(options, folds(len(known), seed), score)
        answers = fit(x, classes, option)(counter.transform(asked))
    sign = "alpha" if options is ALPHAS else "C"
    note = f"{sign} {option:g}, {x.shape[1]:,} features"
    return Baseline(name, tuple(answers), perf_counter() - start, note)


def _tf_idf(analyzer: str, reach: tuple[int, int], count: int) -> Vectorizer:
    extraction = module("sklearn.feature_extraction.text", "scikit-learn")
    return extraction.TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=reach,
        token_pattern=WORD if analyzer == "word" else None,
        sublinear_tf=True,
        # In a large set, an n-gram that occurs in one text is useless. Such n-grams take most of the memory.
        min_df=2 if count >= 1_000 else 1,
        dtype=np.float64,
    )


def _counts(binary: bool) -> Vectorizer:
    extraction = module("sklearn.feature_extraction.text", "scikit-learn")
    return extraction.CountVectorizer(ngram_range=(1, 2), token_pattern=WORD, binary=binary, dtype=np.float64)


def _logistic(x: Counts, classes: Sequence[str], strength: float) -> Fitted:
    linear = module("sklearn.linear_model", "scikit-learn")
    model = linear.LogisticRegression(C=strength, max_iter=300).fit(x, classes)
    return lambda new: [str(name) for name in model.predict(new)]


def _multinomial(x: Counts, classes: Sequence[str], alpha: float) -> Fitted:
    bayes = module("sklearn.naive_bayes", "scikit-learn")
    model = bayes.MultinomialNB(alpha=alpha).fit(x, classes)
    return lambda new: [str(name) for name in model.predict(new)]


def _nb_svm(x: Counts, classes: Sequence[str], strength: float) -> Fitted:
    """Fit one SVM for each class against the rest. Two classes need only one SVM."""
    names = sorted(set(classes))
    truth = np.array(classes)
    machines = [_nb_machine(x, truth == name, strength) for name in (names if len(names) > 2 else names[1:])]
    weights, levels = np.stack([w for w, _ in machines], axis=1), np.array([b for _, b in machines])

    def answer(new: Counts) -> list[str]:
        scores = new @ weights + levels
        if len(names) == 2:
            return [names[int(score > 0)] for score in scores[:, 0]]
        return [names[i] for i in scores.argmax(axis=1)]

    return answer


def _nb_machine(x: Counts, inside: NDArray[np.bool_], strength: float) -> tuple[Floats, float]:
    """Fit an SVM for one class against the rest. Return its weights [features] and its intercept.

    The log-count ratio is r = log(p / |p| / (q / |q|)). The SVM is fitted on x * r. Its weights are
    interpolated with their mean absolute value, and multiplied by r, so that they apply to x itself.
    """
    svm = module("sklearn.svm", "scikit-learn")
    p, q = (1.0 + np.asarray(x[np.flatnonzero(rows)].sum(axis=0)).ravel() for rows in (inside, ~inside))
    ratio = np.log(p / p.sum()) - np.log(q / q.sum())
    model = svm.LinearSVC(C=strength, dual=True, random_state=0).fit(x.multiply(ratio).tocsr(), inside)
    weights = model.coef_[0]
    mixed = (1 - NB_MIX) * np.abs(weights).mean() + NB_MIX * weights
    return mixed * ratio, float(model.intercept_[0])


def words_ridge(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Ridge regression on TF-IDF weights of words and word pairs. Raises MissingExtra, DataError."""
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
