"""A language model inside the search of a recogniser (shallow fusion, Gulcehre et al., arXiv 1503.03535v2). A character
model scores every character; a word model scores a word when it is complete.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unrolled.core.errors import UsageError
from unrolled.core.types import ZERO_INPUT_ID, Array, State
from unrolled.data.text.vocabulary import EOS
from unrolled.inference.open_model import Model, Predictor, open_language_model
from unrolled.models.decoding.ctc import CtcBeamOptions, Ids, LmScorer
from unrolled.tasks.outputs.ctc import Transcript


@dataclass(frozen=True, eq=False)
class Context:
    """What a language model knows after some text: its state, and log-probabilities of what follows, [tokens]."""

    state: State
    follows: Array


Contexts = Callable[[str], tuple[Context, float]]


def with_search(
    model: Predictor,
    width: int | None = None,
    lm: Path | None = None,
    weight: float = 0.5,
    bonus: float = 0.0,
) -> Predictor:
    """The model with another search for what is said: so many prefixes, a language model and its weight, and a bonus
    for each character. Raises UsageError where it says no texts, and what opening a language model raises."""
    asked = model.output
    if width is None and lm is None and not bonus:
        return model
    if not isinstance(asked, Transcript):
        raise UsageError("a search by a beam is for what is said", expected="a model of transcribe")
    if (width or 1) < 1 or not 0 <= weight < math.inf or not math.isfinite(bonus):
        raise UsageError(f"--beam {width}, --lm-weight {weight}", expected="at least 1, and a number from 0")
    rate = None if lm is None else lm_scorer(open_language_model(lm), asked)
    search = CtcBeamOptions(width or asked.search.width, rate, weight if rate else 0.0, bonus)
    return replace(model, output=replace(asked, search=search))


def lm_scorer(model: Model, asked: Transcript) -> LmScorer:
    """The rater of a search over what a recogniser may say. Raises UsageError where that is pieces of words and the
    model is of characters, each of which would need a step of its own."""
    contexts = _contexts(model)
    rate = _by_character if model.reading.of_characters else _by_word
    if asked.subwords is not None and model.reading.of_characters:
        expected = "one of words beside a recogniser of subwords"
        raise UsageError(
            "a language model of characters", expected=expected, hint="train language --unit word"
        )
    start = contexts("", None)[0]

    def rated(prefixes: Sequence[Ids]) -> tuple[Array, Array]:
        if prefixes[0] == ():  # another sound
            known.clear()
            known[""] = (start, 0.0)
        pairs = [rate(model, look_up, asked.text(ids), asked) for ids in prefixes]
        return np.stack([follows for follows, _ in pairs]), np.array([end for _, end in pairs])

    known: dict[str, tuple[Context, float]] = {}

    def look_up(text: str) -> tuple[Context, float]:
        if text not in known:
            known[text] = contexts(text, look_up)
        return known[text]

    return rated


def _contexts(model: Model) -> Callable[[str, Contexts | None], tuple[Context, float]]:
    """A function from a text to its context, made from that of the text without its last token, and the nats of that
    token: a character, or a word with the space behind it."""
    step = model.engine.step

    def after(state: State, token: int) -> Context:
        follows, _, state = step(state, np.array([token]))
        return Context(state, follows[0].astype(np.float64))

    def context(text: str, look_up: Contexts | None) -> tuple[Context, float]:
        if not text or look_up is None:
            return after(model.engine.start(1), ZERO_INPUT_ID), 0.0
        at = len(text) - 1 if model.reading.of_characters else text.rstrip(" ").rfind(" ") + 1
        before, nats = look_up(text[:at])[0], 0.0
        for token in model.reading.encode(
            text[at:] if model.reading.of_characters else text[at:].strip()
        ).tolist():
            nats += float(before.follows[token])
            before = after(before.state, token)
        return before, nats

    return context


def _by_character(model: Model, look_up: Contexts, text: str, asked: Transcript) -> tuple[Array, float]:
    """What may follow a text, [n_y], and its end."""
    follows = look_up(text)[0].follows
    tokens = model.reading.encode("".join(asked.pieces))
    return np.concatenate([[0.0], follows[tokens]]), _end(model, follows)


def _by_word(model: Model, look_up: Contexts, text: str, asked: Transcript) -> tuple[Array, float]:
    """Nothing within a word; at a space what the word before it is worth; at the end the same, and the end itself."""
    whole, nats = look_up(text.rstrip(" ") + " ") if text.strip(" ") else look_up("")
    rest = 0.0 if text.endswith(" ") else nats
    return np.where(asked.begins, rest, 0.0), rest + _end(model, whole.follows)


def _end(model: Model, follows: Array) -> float:
    """Nats of an end: `<EOS>` where documents are lines, else a line's end."""
    if model.reading.documents == "line":
        return float(follows[EOS])
    token = model.reading.vocabulary.encode(["\n"])
    return float(follows[int(token[0])])
