"""The output `next` of tokens: y^<t> = x^<t+1>, the language model of the lecture.

x^<1> is the vector of zeros, then x^<t> = y^<t-1>. The log-probability of a sentence is the sum over its
tokens and its end. This file defines the end of a sentence and the format of scores. `inference/scoring.py`
computes the scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.types import Answer
from unrolled.data.text.vocabulary import EOS, UNK
from unrolled.tasks.inputs.tokens import Reading
from unrolled.tasks.metrics.language import perplexity


@dataclass(frozen=True)
class Scored:
    """The score of one text: a log-probability (natural logarithm) for each token and for the end.

    The end is `<EOS>` or a newline; see `closing`.
    characters: the characters of the text, plus one for its end. So word and character models can be
    compared.
    """

    tokens: tuple[str, ...]
    log_probabilities: NDArray[np.float64]
    unknown: NDArray[np.bool_]
    characters: int

    @property
    def log_probability(self) -> float:
        """Log-probability of the whole text in nats."""
        return float(self.log_probabilities.sum())

    @property
    def perplexity(self) -> float:
        """Perplexity per token."""
        return perplexity(-self.log_probability / len(self.log_probabilities))

    @property
    def bits_per_character(self) -> float:
        """Bits per character, which can be compared across units."""
        return -self.log_probability / math.log(2) / self.characters


def closing(reading: Reading) -> tuple[int, str]:
    """Return the id and the name of the token that ends a single line.

    It is <EOS>, or a newline if the unit is characters and each file is one document.
    """
    if reading.of_characters and reading.documents == "file":
        newline = int(reading.encode("\n")[0])
        if newline != UNK:
            return newline, "a newline"
    return EOS, "<EOS>"


def score_answer(scored: Scored, text: str, *, tokens: bool) -> Answer:
    """Convert a score to an answer.

    The text is tab-separated: log-probability, perplexity, bits per character, number of unknown tokens,
    text.
    tokens: add the log-probability of each token.
    """
    record: dict[str, object] = {
        "text": text,
        "log_probability": scored.log_probability,
        "perplexity": scored.perplexity,
        "bits_per_character": scored.bits_per_character,
        "tokens": len(scored.tokens),
        "unknown": int(scored.unknown.sum()),
    }
    line = (
        f"{scored.log_probability:.4f}\t{scored.perplexity:.4f}\t{scored.bits_per_character:.4f}\t"
        f"{record['unknown']}\t{text}"
    )
    if tokens:
        each = zip(scored.tokens, scored.log_probabilities, scored.unknown, strict=True)
        record["token_scores"] = [
            {"token": name, "log_probability": float(value), "unknown": bool(unknown)}
            for name, value, unknown in each
        ]
        pairs = zip(scored.tokens, scored.log_probabilities, strict=True)
        line += "\t" + " ".join(f"{visible(name)}/{value:.3f}" for name, value in pairs)
    return Answer(line, record)


def blank_answer(text: str) -> Answer:
    """Return the answer to a blank line: the keys of `score_answer` without values.

    Thus every input line has one output line.
    """
    nothing = dict.fromkeys(("log_probability", "perplexity", "bits_per_character"))
    return Answer("", {"text": text, **nothing, "tokens": 0, "unknown": 0})


def visible(token: str) -> str:
    """Return a token in a form that fits in one line, with white space escaped."""
    return token if token.isprintable() and not token.isspace() else repr(token)[1:-1].replace(" ", "␣")


@dataclass(frozen=True)
class Tally:
    """Sums over an evaluation: nats, tokens, correctly predicted tokens, and unknown tokens."""

    nats: float = 0.0
    tokens: int = 0
    right: int | None = 0  # None: not counted
    unknown: int = 0

    def figures(self, characters: int) -> dict[str, float]:
        """Return the metrics that `evaluate` prints about a language model.

        characters: the number of characters of the text, plus one for the end of each document.
        """
        mean = self.nats / max(1, self.tokens)
        a_character = self.nats / max(1, characters)
        guessed = {} if self.right is None else {"accuracy": self.right / max(1, self.tokens)}
        return {
            "loss": mean,
            "perplexity": perplexity(mean),
            **guessed,
            "nats_per_character": a_character,
            "bits_per_character": a_character / math.log(2),
            "unknown": self.unknown / max(1, self.tokens),
            "tokens": self.tokens,
            "characters": characters,
        }
