"""Use a language model: score, predict, sample, measure. `predictor.py` is for all other models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import UsageError
from unrolled.core.types import Answer, Array, Batch, delayed
from unrolled.data.text.tokenize import find_unit
from unrolled.data.text.vocabulary import EOS, UNK
from unrolled.models.decoding.sampling import SamplingOptions, stream_all
from unrolled.models.engines import Engine
from unrolled.tasks.inputs.tokens import Reading
from unrolled.tasks.outputs.next_token import Scored, Tally, closing, visible

CHUNK = 256  # steps per call of the engine; fixed, so that a text always gets bit-identical results


def score(engine: Engine, reading: Reading, text: str) -> Scored:
    """Score one text. The state starts from zeros, and the end of the text is scored too.

    The same text always gets bit-identical scores.
    """
    end, _ = closing(reading)
    ids = np.append(reading.encode(text), end)  # [T_y]
    values = np.concatenate(list(walk(engine, ids)))
    names = tuple(reading.bare(reading.vocabulary.name(int(i))) for i in ids)
    return Scored(names, values, ids == UNK, len(text) + 1)


def walk(engine: Engine, ids: Array) -> Iterator[NDArray[np.float64]]:
    """Yield the log-probabilities of `ids` [T_y], in chunks of at most `CHUNK` steps.

    The state starts from zeros.
    """
    x = delayed(ids[:-1])  # [T_y]
    for begin, log_probs in run(engine, x):
        y = ids[begin : begin + len(log_probs), None]
        yield np.take_along_axis(log_probs, y, axis=1)[:, 0].astype(np.float64)


def run(engine: Engine, x: Array) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Run one sequence of inputs [T_x] in chunks.

    Yield (first step of the chunk, log-probabilities [steps, n_y]).
    """
    state = None
    for begin in range(0, len(x), CHUNK):
        part = x[begin : begin + CHUNK]
        log_probs, state = engine.run(part[None], np.array([len(part)]), state)  # [1, steps, n_y]
        yield begin, log_probs[0]


def predict(engine: Engine, reading: Reading, text: str, top: int) -> Answer:
    """Predict the token after `text`. The record of the answer has the `top` most probable tokens.

    The text of the answer is the most probable token that is not special (`<UNK>`, `<EOS>`).
    """
    after = np.zeros(0, dtype=np.float32)
    for _, log_probs in run(engine, delayed(reading.encode(text))):
        after = log_probs[-1]  # [n_y]
    found: dict[tuple[bool, str], float] = {}  # tokens with the same text count as one
    for i in np.argsort(-after, kind="stable").tolist():
        key = reading.vocabulary.is_special(i), reading.bare(reading.vocabulary.name(i))
        found[key] = found.get(key, 0.0) + float(np.exp(np.float64(after[i])))
    ranked = sorted(found.items(), key=lambda item: -item[1])
    entries = [{"token": name, "probability": p} for (_, name), p in ranked[:top]]
    answer = next((name for (special, name), _ in ranked if not special), None)
    return Answer("" if answer is None else visible(answer), {"next": entries})


@dataclass(frozen=True)
class SampleOptions:
    """What to sample: `count` texts that continue `prompt`.

    length: maximum number of new tokens of each text; None: 500 for characters, 60 for other units.
    temperature, top_k, top_p: see `SamplingOptions`.
    seed: the random seed.
    unknown: whether `<UNK>` may be sampled.
    Raises UsageError for values out of range.
    """

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


def samples(engine: Engine, reading: Reading, sample_options: SampleOptions) -> Iterator[str]:
    """Yield the sampled texts. Each begins with the unchanged prompt.

    `<UNK>` or `<EOS>` in a prompt is read as an ordinary token.
    Raises UsageError if no token of the prompt is known.
    """
    prompt = reading.encode(sample_options.prompt)
    if len(prompt) and (prompt == UNK).all():
        raise UsageError("the model knows no token of the prompt", hint="words of the training text")
    banned = () if sample_options.unknown else (UNK,)
    settings = SamplingOptions(
        sample_options.temperature, sample_options.top_k, sample_options.top_p, banned, EOS
    )
    length = sample_options.length or find_unit(reading.unit).sample
    for ids in stream_all(
        engine, np.random.default_rng(sample_options.seed), prompt, length, settings, sample_options.count
    ):
        yield sample_options.prompt + _continuation(
            reading, sample_options.prompt, map(reading.vocabulary.name, ids)
        )


def _continuation(reading: Reading, prompt: str, tokens: Iterable[str]) -> str:
    """Return the text of the tokens after the prompt, with the right spaces between prompt and tokens."""
    before = reading.split(prompt)
    text = reading.join([*before, *tokens])[len(reading.join(before)) :]
    return text.removeprefix(" ") if prompt[-1:].isspace() and not reading.of_characters else text


def tally(engine: Engine, batches: Iterable[Batch]) -> Tally:
    """Run the engine over evaluation batches and return the totals.

    `batch.carry` says which rows keep their state from the previous batch.
    """
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
