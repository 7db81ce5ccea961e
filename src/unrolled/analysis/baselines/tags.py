"""Baselines for tagging: the most frequent tag of each word, and a conditional random field (CRFsuite)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from unrolled.analysis.baselines.example_arrays import tagged, tokens
from unrolled.analysis.baselines.fitting import Baseline, agreement, folds, module, most_frequent, pick
from unrolled.core.types import Example, Integers

C2 = (1.0, 0.3, 0.1, 0.03)  # strengths of the L2 penalty
SENTENCES = 2_000  # maximum number of sentences on which the strength is chosen
ITERATIONS = 100


def word_tag(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Predict the most frequent tag of each word; for unseen words the most frequent tag of all."""
    start = perf_counter()
    truth = tagged(train)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for words, tags in zip(tokens(train), truth, strict=True):
        for word, tag in zip(words, tags, strict=True):
            counts[word][tag] += 1
    unseen = most_frequent(tag for tags in truth for tag in tags)
    best = {word: most_frequent(found.elements()) for word, found in counts.items()}
    answers = tuple(tuple(best.get(word, unseen) for word in words) for words in tokens(test))
    return Baseline("most frequent tag of each word", answers, perf_counter() - start)


def crf(train: Sequence[Example], test: Sequence[Example], seed: int = 0) -> Baseline:
    """Linear-chain conditional random field (CRFsuite, L-BFGS).

    Features: words, their prefixes, suffixes and shapes, and two neighbours on each side. The L2 penalty is
    chosen on a part of the training sentences. Raises MissingExtra, DataError.

    J. Lafferty, A. McCallum, F. Pereira, "Conditional Random Fields", ICML 2001.
    """
    start = perf_counter()
    module("sklearn_crfsuite", "sklearn-crfsuite")  # raises before the work begins
    x, y = [features(words) for words in tokens(train)], tagged(train)
    chosen = np.random.default_rng(seed).permutation(len(x))[:SENTENCES]

    def score(c2: float, split: tuple[Integers, Integers]) -> float:
        fit, check = (chosen[part] for part in split)
        answers = _predict([x[i] for i in fit], [y[i] for i in fit], [x[i] for i in check], c2)
        return agreement([t for tags in answers for t in tags], [t for i in check for t in y[i]])

    c2 = pick(C2, folds(len(chosen), seed, many=200), score)
    answers = _predict(x, y, [features(words) for words in tokens(test)], c2)
    note = f"c2 {c2:g}, picked on {len(chosen):,} sentences"
    return Baseline("CRFsuite", tuple(answers), perf_counter() - start, note)


Features = list[list[str]]  # the names of the features of each token


def _predict(
    x: Sequence[Features], y: Sequence[tuple[str, ...]], asked: Sequence[Features], c2: float
) -> list[tuple[str, ...]]:
    suite = module("sklearn_crfsuite", "sklearn-crfsuite")
    model = suite.CRF(algorithm="lbfgs", c1=0.0, c2=c2, max_iterations=ITERATIONS)
    model.fit(x, y)
    return [tuple(map(str, tags)) for tags in model.predict(asked)]


def features(words: Sequence[str]) -> Features:
    """Return the features of each token.

    They are: bias, word, lower-case word, prefixes and suffixes of 1 to 4 characters, shape, digits, start
    and end of the sentence, and lower-case word and shape of two neighbours on each side.
    """
    lowers, shapes = [word.lower() for word in words], [shape(word) for word in words]
    found: Features = []
    for i, (word, lower) in enumerate(zip(words, lowers, strict=True)):
        own = ["bias", f"word={word}", f"lower={lower}", f"shape={shapes[i]}"]
        for n in range(1, min(4, len(lower)) + 1):
            own += [f"begin={lower[:n]}", f"end={lower[-n:]}"]
        own += ["digits"] * any(char.isdigit() for char in word)
        for step in (-2, -1, 1, 2):
            j = i + step
            if 0 <= j < len(words):
                own += [f"{step}:lower={lowers[j]}", f"{step}:shape={shapes[j]}"]
            elif abs(step) == 1:
                own.append(f"{step}:none")
        found.append(own)
    return found


def shape(word: str) -> str:
    """Return the shape of a word: capitals become X, other letters x, digits 0, and repeats are removed.

    "McKay's" becomes "XxXx'x", and "2026" becomes "0".
    """
    kinds = ["X" if c.isupper() else "x" if c.isalpha() else "0" if c.isdigit() else c for c in word]
    return "".join(kind for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1])
