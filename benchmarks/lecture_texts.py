"""Trainings of texts for benchmarks/lecture.py: made sentences, and the source of Python's standard library."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from unrolled import LanguageModel
from unrolled.core.types import Array
from unrolled.data.text.tokenize import split
from unrolled.demo.language import library_source
from unrolled.demo.sentence_maker import make

ZEROS = -1  # the id that stands for the vector of zeros


def sentences(count: int, part: str = "train") -> list[str]:
    """Return made sentences; those of "test" have other names."""
    return [" ".join(str(word) for word in one.x) for one in make(0, count, part)]


def library(size: int) -> tuple[str, str]:
    """Return the first `size` characters of the source of the standard library, and the next eighth of it."""
    text = ""
    for path in library_source():
        text += path.read_text(encoding="utf-8", errors="ignore")
        if len(text) > size * 9 // 8:
            break
    return text[:size], text[size : size * 9 // 8]


def first_words(texts: Sequence[str]) -> Counter[str]:
    """Return how often each token is the first one of a text."""
    return Counter(split(text, "word", False)[0] for text in texts)


def first_distribution(model: LanguageModel) -> dict[str, float]:
    """Return the probability of each token after the vector of zeros and a state of zeros."""
    engine, words = model.model_.engine, model.model_.reading.vocabulary
    log_probs, _, _ = engine.step(engine.start(1), np.array([ZEROS]))
    return {words.name(i): float(p) for i, p in enumerate(np.exp(log_probs[0].astype(np.float64)))}


def distance(p: dict[str, float], q: dict[str, float]) -> float:
    """Return the total variation distance of two distributions: 0 for equal ones, 1 for disjoint ones."""
    return sum(abs(p.get(word, 0.0) - q.get(word, 0.0)) for word in {*p, *q}) / 2


def bits(model: LanguageModel, texts: Sequence[str], train: Sequence[str]) -> tuple[float, float, float]:
    """Return (bits per character, the same with unknown words spelled, fraction of unknown tokens).

    Unknown words are spelled with the frequencies of the letters in `train`. A word model that predicts
    <UNK> does not say which word it is; the second number pays for this.
    """
    letters = Counter("".join(train))
    total, spelling = sum(letters.values()), 0.0
    scores = model.score_samples(texts)
    for text, scored in zip(texts, scores, strict=True):
        for token, unknown in zip([*split(text, str(model.unit), False), ""], scored.unknown, strict=True):
            if unknown:
                spelling -= sum(math.log2(max(letters[letter], 1) / total) for letter in f"{token} ")
    characters = sum(one.characters for one in scores)
    plain = -sum(one.log_probability for one in scores) / math.log(2)
    unknown = sum(int(one.unknown.sum()) for one in scores) / sum(len(one.tokens) for one in scores)
    return plain / characters, (plain + spelling) / characters, unknown


def train_library(size: int, budget: float, **options: object) -> dict[str, float]:
    """Train a character model for one pass, and then a new one for the passes that `budget` CPU seconds allow.

    CPU seconds, because other programs on the machine change the wall time.
    Return the size, the speed, and both losses on the held-out text.
    """
    train, valid = library(size)

    def fitted(passes: int) -> tuple[LanguageModel, float, float]:
        """Return a trained model, its CPU seconds and its loss."""
        began = time.process_time()
        model = LanguageModel(unit="char", epochs=passes, threads=1, **options)
        model.fit([train], validation_data=[valid])
        spent = time.process_time() - began
        return model, spent, min(one["validation_loss"] for one in model.history_)

    LanguageModel(unit="char", epochs=1, hidden=8, threads=1).fit(
        [train[:2000]]
    )  # imports: not counted below
    model, pass_time, once = fitted(1)
    passes = max(1, round(budget / pass_time))
    spent, loss = fitted(passes)[1:] if passes > 1 else (pass_time, once)
    weights = sum(int(np.size(value)) for value in model.model_.file.tensors.values())
    return {
        "parameters": weights,
        "CPU s per pass": pass_time,
        "loss, one pass": once,
        "passes": passes,
        "CPU s": spent,
        "loss, equal time": loss,
        "µs per streamed step": step_time(model.model_.engine, 5000),
    }


def step_time(engine: Array, steps: int) -> float:
    """Return the microseconds of one streaming step: the fastest of 50 runs."""
    state, times = engine.start(1), list[float]()
    for _ in range(50):
        began = time.perf_counter()
        for step in range(steps // 50):
            _, _, state = engine.step(state, np.array([step % 20 + 2]), 1)
        times.append((time.perf_counter() - began) / (steps // 50) * 1e6)
    return min(times)
