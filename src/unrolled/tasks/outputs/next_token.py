"""The output `next` of tokens: y^<t> = x^<t+1>, the language model of the lecture.

x^<1> is the vector of zeros, then x^<t> = y^<t-1>. The log-probability of a sentence is the sum over its tokens and
its end. This file says what ends a sentence and how scores are reported; `inference/scoring.py` computes them.
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
    """The score of one text: a log-probability (natural logarithm) for each token, its end included.

    `closing` tells what ends it: `<EOS>` or a newline. `characters` counts the text's own and one for its end, so
    that models of words and of characters compare.
    """

    tokens: tuple[str, ...]
    log_probabilities: NDArray[np.float64]
    unknown: NDArray[np.bool_]
    characters: int

    @property
    def log_probability(self) -> float:
        """Of the whole text, in nats."""
        return float(self.log_probabilities.sum())

    @property
    def perplexity(self) -> float:
        """Of the mean nats a token."""
        return perplexity(-self.log_probability / len(self.log_probabilities))

    @property
    def bits_per_character(self) -> float:
        """Compares across units."""
        return -self.log_probability / math.log(2) / self.characters


def closing(reading: Reading) -> tuple[int, str]:
    """The token that ends a lone line: <EOS>, or a newline where files are read as one text of characters."""
    if reading.of_characters and reading.documents == "file":
        newline = int(reading.encode("\n")[0])
        if newline != UNK:
            return newline, "a newline"
    return EOS, "<EOS>"


def score_answer(scored: Scored, text: str, *, tokens: bool) -> Answer:
    """A score as a tab-separated line for people (log-probability, perplexity, bits a character, unknown, text)."""
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
    """The answer to a blank line: the keys of `score_answer` with nothing in them, so that lines still correspond."""
    nothing = dict.fromkeys(("log_probability", "perplexity", "bits_per_character"))
    return Answer("", {"text": text, **nothing, "tokens": 0, "unknown": 0})


def visible(token: str) -> str:
    """A token that can stand in one line: white space in its escaped form."""
    return token if token.isprintable() and not token.isspace() else repr(token)[1:-1].replace(" ", "␣")


@dataclass(frozen=True)
class Tally:
    """Sums over an evaluation: nats, tokens, tokens guessed right, unknown tokens, and characters of the text."""

    nats: float = 0.0
    tokens: int = 0
    right: int | None = 0  # None where the guesses were not looked at
    unknown: int = 0

    def figures(self, characters: int) -> dict[str, float]:
        """What `evaluate` prints about a language model; characters: of the text, with one for each end."""
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
