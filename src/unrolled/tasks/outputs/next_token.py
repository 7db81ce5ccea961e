"""The output `next`: y^<t> = x^<t+1>, the language model of the lecture.

x^<1> is the vector of zeros (id -1), then x^<t> = y^<t-1>; the loss is the cross-entropy; the log-probability of a
sentence is the sum over its tokens and its end. Everything here runs on any `Engine`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Answer, Batch
from unrolled.data.text.tokenize import join, split
from unrolled.data.text.vocabulary import EOS, UNK
from unrolled.models.decoding.sampling import Settings, stream_all
from unrolled.models.engines import Engine
from unrolled.tasks.inputs.tokens import Reading

CHUNK = 256  # steps computed at a time: fixed, so that a line has the same bits wherever it stands
START = -1  # the vector of zeros


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
        """exp of the mean nats a token; infinite where that overflows."""
        nats = -self.log_probability / len(self.log_probabilities)
        return math.exp(nats) if nats < 700 else math.inf

    @property
    def bits_per_character(self) -> float:
        """Compares across units."""
        return -self.log_probability / math.log(2) / self.characters


def closing(reading: Reading) -> tuple[int, str]:
    """The token that ends a lone line: <EOS>, or a newline where files are read as one text of characters."""
    if reading.unit == "char" and reading.documents == "file":
        newline = int(reading.encode("\n")[0])
        if newline != UNK:
            return newline, "a newline"
    return EOS, "<EOS>"


def score(engine: Engine, reading: Reading, text: str) -> Scored:
    """Score one text on its own: state from zeros, the end counted. The same text gives the same bits."""
    end, _ = closing(reading)
    ids = np.append(reading.encode(text), end)  # [T_y]
    values = np.concatenate(list(walk(engine, ids)))
    names = tuple(reading.vocabulary.name(int(i)) for i in ids)
    return Scored(names, values, ids == UNK, len(text) + 1)


def walk(engine: Engine, ids: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Log-probabilities of `ids` [T_y] from zeros, `CHUNK` steps at a time."""
    x = np.append(START, ids[:-1])  # [T_y]: each input is the output before it
    for begin, log_probs in run(engine, x):
        y = ids[begin : begin + len(log_probs), None]
        yield np.take_along_axis(log_probs, y, axis=1)[:, 0].astype(np.float64)


def run(engine: Engine, x: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Carry one sequence of inputs [T_x] through the engine: (first step, log-probabilities [steps, n_y])."""
    state = None
    for begin in range(0, len(x), CHUNK):
        part = x[begin : begin + CHUNK]
        log_probs, state = engine.run(part[None], np.array([len(part)]), state)  # [1, steps, n_y]
        yield begin, log_probs[0]


def score_answer(scored: Scored, text: str, *, tokens: bool) -> Answer:
    """A score as a tab-separated line for people (log-probability, perplexity, bits a character, unknown, text)."""
    record: dict[str, Any] = {
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


def predict(engine: Engine, reading: Reading, text: str, top: int) -> Answer:
    """What comes after `text`: the `top` most probable next tokens, the first of them the answer.

    The special tokens are left out of the answer's text: `<UNK>` is not a word that anybody meant.
    """
    after = np.zeros(0, dtype=np.float32)
    for _, log_probs in run(engine, np.append(START, reading.encode(text))):
        after = log_probs[-1]  # [n_y]
    order = np.argsort(-after, kind="stable").tolist()
    entries = [
        {"token": reading.vocabulary.name(i), "probability": float(np.exp(np.float64(after[i])))}
        for i in order[:top]
    ]
    answer = next((i for i in order if not reading.vocabulary.is_special(i)), None)
    return Answer("" if answer is None else visible(reading.vocabulary.name(answer)), {"next": entries})


@dataclass(frozen=True)
class Wish:
    """What to sample: `count` texts that go on from `prompt`, at most `length` tokens each (None: 500 characters or
    60 words), drawn as `decode.sample.Settings` says; `unknown` allows `<UNK>` to be written."""

    prompt: str = ""
    length: int | None = None
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    count: int = 1
    seed: int = 0
    unknown: bool = False

    def __post_init__(self) -> None:
        for name, value, low in (
            ("length", self.length, 1),
            ("count", self.count, 1),
            ("seed", self.seed, 0),
        ):
            if value is not None and value < low:
                raise UsageError(f"{name} {value}", expected=f"at least {low}")


def samples(engine: Engine, reading: Reading, wish: Wish) -> Iterator[str]:
    """The texts, the prompt in front as it was given. <UNK> or <EOS> in the text of a prompt is an ordinary token."""
    prompt = reading.encode(wish.prompt)
    if len(prompt) and (prompt == UNK).all():
        raise UsageError("the model knows nothing of the prompt", hint="a prompt of words of its text")
    banned = () if wish.unknown else (UNK,)
    settings = Settings(wish.temperature, wish.top_k, wish.top_p, banned, EOS)
    length = wish.length or (500 if reading.unit == "char" else 60)
    for ids in stream_all(engine, np.random.default_rng(wish.seed), prompt, length, settings, wish.count):
        yield join([*split(wish.prompt, reading.unit), *map(reading.vocabulary.name, ids)], reading.unit)


@dataclass(frozen=True)
class Tally:
    """Sums over an evaluation: nats, tokens, tokens guessed right, unknown tokens, and characters of the text."""

    nats: float = 0.0
    tokens: int = 0
    right: int | None = 0  # None where the guesses were not looked at
    unknown: int = 0

    def metrics(self, characters: int) -> dict[str, float]:
        """The metrics of the task, all a person may ask for; `characters` of the text with one for each end."""
        mean = self.nats / max(1, self.tokens)
        a_character = self.nats / max(1, characters)
        guessed = {} if self.right is None else {"accuracy": self.right / max(1, self.tokens)}
        return {
            "loss": mean,
            "perplexity": math.exp(mean) if mean < 700 else math.inf,
            **guessed,
            "nats_per_character": a_character,
            "bits_per_character": a_character / math.log(2),
            "unknown": self.unknown / max(1, self.tokens),
            "tokens": self.tokens,
            "characters": characters,
        }


def tally(engine: Engine, batches: Iterable[Batch]) -> Tally:
    """Run the engine over evaluation batches and add up; the state of a row is carried where the batch says."""
    nats, tokens, right, unknown = 0.0, 0, 0, 0
    state = None
    for batch in batches:
        carried = engine.keep(state, batch.carry)
        log_probs, state = engine.run(batch.x, batch.lengths, carried)  # [batch, T_x, n_y]
        asked = batch.y >= 0
        targets = np.where(asked, batch.y, 0)
        picked = np.take_along_axis(log_probs, targets[..., None], axis=2)[..., 0]
        nats -= float(picked[asked].sum(dtype=np.float64))
        tokens += int(asked.sum())
        right += int((log_probs.argmax(axis=2) == batch.y)[asked].sum())
        unknown += int((batch.y[asked] == UNK).sum())
    return Tally(nats, tokens, right, unknown)
