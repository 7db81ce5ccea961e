"""Use a language model in the beam search of a transcription model (shallow fusion).

Source: Gulcehre et al., arXiv 1503.03535v2. A character model scores every character. A word model scores a
word when the word is complete.
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
    """The state of a language model after a text, and the log-probabilities of the next token, [tokens]."""

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
    """Return the model with other options of the beam search.

    width: number of prefixes of the beam; None: as in the model.
    lm: file of a language model; None: no language model.
    weight: weight of the log-probabilities of the language model.
    bonus: nats that are added for each character or subword of the text.
    Raises UsageError if the model does not transcribe. Raises the errors of opening a language model.
    """
    asked = model.output
    if width is None and lm is None and not bonus:
        return model
    if not isinstance(asked, Transcript):
        raise UsageError("a beam search is for transcription", expected="a model of transcribe")
    if (width or 1) < 1 or not 0 <= weight < math.inf or not math.isfinite(bonus):
        raise UsageError(f"--beam {width}, --lm-weight {weight}", expected="at least 1, and a number from 0")
    rate = None if lm is None else lm_scorer(open_language_model(lm), asked)
    search = CtcBeamOptions(width or asked.search.width, rate, weight if rate else 0.0, bonus)
    return replace(model, output=replace(asked, search=search))


def lm_scorer(model: Model, asked: Transcript) -> LmScorer:
    """Return the scorer of a beam search that uses a language model.

    Raises UsageError for a language model of characters with a transcription model of subwords: each subword
    would need one step per character.
    """
    contexts = _contexts(model)
    rate = _by_character if model.reading.of_characters else _by_word
    if asked.subwords is not None and model.reading.of_characters:
        expected = "a language model of words for a transcription model of subwords"
        raise UsageError(
            "a language model of characters", expected=expected, hint="train language --unit word"
        )
    start = contexts("", None)[0]

    def rated(prefixes: Sequence[Ids]) -> tuple[Array, Array]:
        if prefixes[0] == ():  # a new recording begins
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
    """Return a function from a text to (its context, the log-probability of its last token in nats).

    The last token is a character, or a word with the space after it. The context is computed from the context
    of the text without this token, which `look_up` returns.
    """
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
    """Return the log-probabilities of the next class, [n_y], and of the end of the text."""
    follows = look_up(text)[0].follows
    tokens = model.reading.encode("".join(asked.pieces))
    return np.concatenate([[0.0], follows[tokens]]), _end(model, follows)


def _by_word(model: Model, look_up: Contexts, text: str, asked: Transcript) -> tuple[Array, float]:
    """Return the log-probabilities of the next class, [n_y], and of the end of the text.

    They are 0 within a word. A class that begins a new word gets the log-probability of the word before it.
    The end gets the same, plus the log-probability of the end.
    """
    whole, nats = look_up(text.rstrip(" ") + " ") if text.strip(" ") else look_up("")
    rest = 0.0 if text.endswith(" ") else nats
    return np.where(asked.begins, rest, 0.0), rest + _end(model, whole.follows)


def _end(model: Model, follows: Array) -> float:
    """Return the log-probability of the end: of `<EOS>` if documents are lines, else of a line break."""
    if model.reading.documents == "line":
        return float(follows[EOS])
    token = model.reading.vocabulary.encode(["\n"])
    return float(follows[int(token[0])])
