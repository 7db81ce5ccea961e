"""The output `sequence`: a text of its own length, written by a decoder (many-to-many, T_x != T_y).

An encoder-decoder writes it token by token; what is known of an x are the candidates that a search found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Answer, Array, Example, Integers, Place, Targets
from unrolled.core.values.example_values import as_text, elements, length
from unrolled.core.values.json_values import as_object
from unrolled.data.text.token_counter import Coverage
from unrolled.data.text.tokenize import written
from unrolled.data.text.vocabulary import EOS, UNK
from unrolled.models.decoding.beam_search import BeamOptions, Hypothesis, search
from unrolled.models.decoding.forced_decoding import forced_decode
from unrolled.models.decoding.sampling import SamplingOptions, sample_rows
from unrolled.models.engines import Decoder
from unrolled.models.network_spec import AttentionSpec, DecoderSpec, output_layer
from unrolled.tasks.inputs.tokens import Reading, both_ends, describe, learn_reading
from unrolled.tasks.metrics.bleu import score
from unrolled.tasks.metrics.edit_distance import character_errors, total
from unrolled.tasks.metrics.language import perplexity

SHORTEST = 8  # of a shorter x no ratio of lengths is learnt
ROOM = 1.5  # times the longest y for its x that training has


USUAL = BeamOptions()


@dataclass(frozen=True)
class GenerationOptions:
    """How an answer is to be found and told.

    search: see decode.beam.  temperature: draw instead of searching, `search.nbest` times; seed: of the chance.
    scores, alignment: told with text answers too.  copy_unknown: `<UNK>` may be written, and is replaced by the token
    of x that is attended to most, or by what `dictionary` has for that.  Raises UsageError for a temperature that is
    none.
    """

    search: BeamOptions = USUAL
    temperature: float | None = None
    seed: int = 0
    scores: bool = False
    alignment: bool = False
    copy_unknown: bool = False
    dictionary: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.temperature is not None:
            SamplingOptions(self.temperature)


PLAIN = GenerationOptions()


@dataclass(frozen=True)
class Candidate:
    """An answer found. attended: for each of its ids the step of x that it attended to most; empty where that was not
    asked for."""

    hypothesis: Hypothesis
    attended: tuple[int, ...] = ()


class Written(TypedDict):
    """A candidate as a record. cut: it had no end before the limit; alignment: pairs of a step of x and one of y."""

    text: str
    log_probability: float
    score: float
    tokens: list[str]
    cut: NotRequired[bool]
    alignment: NotRequired[list[list[int]]]


@dataclass(frozen=True)
class Found:
    """What is known of one x: candidates, best first; nats and tokens of the true y where it was given."""

    candidates: tuple[Candidate, ...]
    nats: float = math.nan
    tokens: int = 0


@dataclass(frozen=True)
class Sequences:
    """How y is read and written. ratio: the most ids that training has for each unit of `size` of an x; longest: the
    most that it has at all: so long an answer may become."""

    reading: Reading
    ratio: float
    longest: int
    about: str = ""

    targets: ClassVar[Targets] = "own"

    def __post_init__(self) -> None:
        if not (0 < self.ratio < math.inf and self.longest > 0):
            raise DataError("what the model learnt of its answers is damaged", expected="lengths above 0")

    @property
    def n_y(self) -> int:
        """How many tokens it can write, `<UNK>` and `<EOS>` among them."""
        return len(self.reading.vocabulary)

    def head(self, config: Config) -> DecoderSpec:
        """The decoder and its attention; see `Output`."""
        model, embedding = config.model, config.model.embedding or 0
        if not config.data.shared:
            embedding = (model.hidden or 1) if model.tie else min(self.n_y, embedding)
        kind = model.attention or "none"
        if kind == "none" and model.feeding:
            raise UsageError("input feeding needs attention", hint="--attention multiplicative")
        return DecoderSpec(
            self.n_y,
            model.decoder_layers or model.layers or 1,
            embedding,
            output_layer(model.softmax, tied=bool(model.tie)),
            bool(config.data.shared),
            None if kind == "none" else AttentionSpec(kind, model.feeding),
        )

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.int64]:
        """[T_y] ids, closed by `<EOS>`."""
        return np.append(self.reading.encode(str(y)).astype(np.int64), EOS)

    def as_written(self, text: str) -> str:
        """A text as this model would write it if every token were right."""
        return self.reading.as_written(text)

    def limit(self, size: int) -> int:
        """The most ids of an answer to an x of this size."""
        return min(math.ceil(ROOM * self.ratio * max(size, SHORTEST)), 4 * self.longest) + SHORTEST

    def calibrate(
        self, y: Sequence[Array], answers: Sequence[Found], weights: Mapping[str, Array]
    ) -> Sequences:
        """Nothing is to be settled."""
        return self

    def find(
        self,
        decoder: Decoder,
        x: Array,
        lengths: Integers,
        sizes: Sequence[int],
        wish: GenerationOptions,
        lines: Sequence[int],
    ) -> list[Found]:
        """Answers to sequences side by side; sizes: of each x, see `size`. lines: the number of each sequence in its
        file, on which what is drawn depends."""
        state = decoder.begin(x, lengths)
        limits = np.array([self.limit(size) for size in sizes])
        if wish.temperature is None:
            banned = () if wish.copy_unknown else (UNK,)
            found = search(decoder, state, limits, replace(wish.search, stop=EOS, banned=banned))
        else:
            found = _drawn(decoder, state, limits, wish, lines)
        flat = [(row, one) for row, several in enumerate(found) for one in several]
        aligned = wish.alignment or (wish.copy_unknown and any(UNK in one.ids for _, one in flat))
        attended: list[tuple[int, ...]] = [()] * len(flat)
        if aligned:
            rows = np.array([row for row, _ in flat], np.int64)
            paths = forced_decode(decoder, decoder.take(state, rows), [one.ids for _, one in flat])
            attended = [tuple(path.weights.argmax(1).tolist()) if path.weights.size else () for path in paths]
        candidates: list[list[Candidate]] = [[] for _ in found]
        for (row, one), steps in zip(flat, attended, strict=True):
            candidates[row].append(Candidate(one, steps))
        return [Found(tuple(several)) for several in candidates]

    def cost(
        self, decoder: Decoder, x: Array, lengths: Integers, y: Sequence[Array]
    ) -> list[tuple[float, int]]:
        """Nats of each true y, its closing token among them, and how many tokens that are."""
        paths = forced_decode(decoder, decoder.begin(x, lengths), [own.tolist() for own in y])
        return [(-float(path.log_probs.sum()), len(path.log_probs)) for path in paths]

    def tokens(self, candidate: Candidate, steps: Sequence[str], wish: GenerationOptions) -> list[str]:
        """The tokens of a candidate, unknown ones replaced where that is wished."""
        names = [self.reading.vocabulary.name(number) for number in candidate.hypothesis.ids]
        if not wish.copy_unknown or not candidate.attended:
            return names
        for place, number in enumerate(candidate.hypothesis.ids):
            if number == UNK and candidate.attended[place] < len(steps):
                copied = steps[candidate.attended[place]]
                names[place] = wish.dictionary.get(copied, copied)
        return names

    def told(self, found: Found, steps: object, wish: GenerationOptions) -> Answer:
        """Candidates as text, a line each (after several an empty one), and as a record."""
        words = [step for step in elements(steps) if isinstance(step, str)]  # numbers have no words
        records = [self._record(one, words, wish) for one in found.candidates]
        # Samples are drawn apart; what a search finds is one list, in which each text stands once.
        records = _joined(records) if wish.temperature is None else records
        lines = [_line(record, wish) for record in records]
        text = lines[0] if wish.search.nbest == 1 and lines else "".join(line + "\n" for line in lines)
        several = {"nbest": records} if wish.search.nbest > 1 else {}
        return Answer(text, {**(records[0] if records else {"text": ""}), **several})

    def _record(self, candidate: Candidate, words: Sequence[str], wish: GenerationOptions) -> Written:
        one, tokens = candidate.hypothesis, self.tokens(candidate, words, wish)
        record: Written = {
            "text": self.reading.join(tokens),
            "log_probability": one.log_probability,
            "score": one.score,
            "tokens": [self.reading.bare(token) for token in tokens],
        }
        if not one.closed:
            record["cut"] = True  # it had no end before the limit
        if wish.alignment:
            record["alignment"] = [[x, y] for y, x in enumerate(candidate.attended)]
        return record

    def to_answer(self, answer: Found, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """As `told`, of what a plain wish found."""
        return self.told(answer, steps, PLAIN)

    def blank(self) -> Answer:
        """The answer to a blank line."""
        return Answer("", {"text": ""})

    def figures(
        self, y: Sequence[str], answers: Sequence[Found], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """loss (nats a token), perplexity, exact (share of texts), token_error_rate, cer, and what `bleu.score` has;
        y are texts. Both sides are texts as people write them, with single spaces where white space is no token, and in
        lower case where the model is (then the signatures of BLEU and chrF say so)."""
        nats, tokens = sum(one.nats for one in answers), sum(one.tokens for one in answers)
        loss = nats / tokens if tokens else None
        said = [self._best(one) for one in answers]
        truth = [self.as_written(text) for text in y]
        pairs = list(zip(truth, said, strict=True))
        return {
            "loss": loss,
            "perplexity": None if loss is None else perplexity(loss),
            "exact": sum(a == b for a, b in pairs) / len(pairs) if pairs else None,
            "token_error_rate": total((self.reading.split(a), self.reading.split(b)) for a, b in pairs).rate,
            "cer": character_errors(pairs).rate,
            **score(truth, said, lower=self.reading.lower),
        }

    def _best(self, found: Found) -> str:
        return self.reading.text(found.candidates[0].hypothesis.ids) if found.candidates else ""

    def describe(self) -> str:
        """For people."""
        return f"to be written: {self.about}"

    def to_json(self) -> dict[str, object]:
        """What `sequences` reads."""
        return {
            "reading": self.reading.to_json(),
            "ratio": self.ratio,
            "longest": self.longest,
            "about": self.about,
        }


def unseen_in(output: Sequences, y: object) -> list[str]:
    """The tokens of a text, each once, if the vocabulary has none of them. A text of which it has some is measured: its
    other tokens count as `<UNK>`."""
    text = str(y or "")
    known = bool((output.reading.encode(text) != UNK).any())
    return [] if known else list(dict.fromkeys(output.reading.split(text)))


def can_measure(output: Sequences, y: Array) -> bool:
    """Whether the loss of an encoded text means anything: one of its tokens must be known."""
    return len(y) < 2 or bool((y[:-1] != UNK).any())


def size(x: object) -> int:
    """How long an x is, whatever it is cut into: characters of a text, tokens of a sentence, steps of numbers."""
    return length(x)


def _drawn(
    decoder: Decoder, state: object, limits: Integers, wish: GenerationOptions, lines: Sequence[int]
) -> list[list[Hypothesis]]:
    """`nbest` samples of each sequence: each is a function of the seed, the line and the number of the draw."""
    count = wish.search.nbest
    rows = np.repeat(np.arange(len(limits)), count)
    rngs = [np.random.default_rng((wish.seed, line, draw)) for line in lines for draw in range(count)]
    settings = SamplingOptions(wish.temperature or 0.0, banned=() if wish.copy_unknown else (UNK,), stop=EOS)
    drawn = sample_rows(decoder, decoder.take(state, rows), rngs, limits[rows], settings)
    made = [Hypothesis(one.ids, one.log_probability, one.log_probability, one.closed) for one in drawn]
    return [made[start : start + count] for start in range(0, len(made), count)]


def _joined(records: Sequence[Written]) -> list[Written]:
    """Each text once, where it is first, with the probability of all its ways to be cut into tokens. Texts that differ
    only in white space at their ends are one."""
    found: dict[str, Written] = {}
    for record in records:
        text = record["text"].strip()
        first = found.get(text)
        if first is None:
            found[text] = record
        else:
            both = np.logaddexp(first["log_probability"], record["log_probability"])
            found[text] = {**first, "log_probability": float(both)}
    return list(found.values())


def _line(record: Written, wish: GenerationOptions) -> str:
    """A candidate as one line: its score, its text, what it attended to (`x-y`, counted from 0), as far as wished."""
    parts = [f"{record['score']:.4f}"] if wish.scores else []
    parts.append(" ".join(record["text"].splitlines()))
    parts += [" ".join(f"{x}-{y}" for x, y in record["alignment"])] if "alignment" in record else []
    return "\t".join(parts)


def sequences(value: Mapping[str, object]) -> Sequences:
    """What `to_json` gave; raises DataError where it is damaged."""
    ratio, longest, about = value.get("ratio"), value.get("longest"), value.get("about")
    if (
        set(value) != {"reading", "ratio", "longest", "about"}
        or not isinstance(ratio, float | int)
        or type(longest) is not int
        or not isinstance(about, str)
    ):
        raise DataError("what the model learnt of its answers is damaged", expected="reading, ratio, longest")
    return Sequences(Reading.from_json(as_object(value["reading"])), float(ratio), longest, about)


def learn_sequence(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Sequences:
    """The vocabulary of the y of some examples, and how long they are. Two passes over what was kept of them."""
    unit = data.target_unit or data.unit or "word"
    lengths: list[tuple[int, str]] = []

    def texts() -> Iterator[str | tuple[str, ...]]:
        for example in examples:
            lengths.append((size(example.x), str(example.y)))
            yield from both_ends(example) if data.shared else (as_text(example.y),)

    reading, coverage = learn_reading(texts(), written(unit), data.lower, data.vocab_size)
    counted = [(len(reading.encode(text)) + 1, steps) for steps, text in lengths]
    ratio = max(ids / max(steps, SHORTEST) for ids, steps in counted)
    return Sequences(reading, ratio, max(ids for ids, _ in counted), _about(reading, coverage))


def _about(reading: Reading, coverage: Coverage) -> str:
    return describe(reading.vocabulary, coverage, reading.unit, reading.lower)


def read_dictionary(lines: Iterable[tuple[int, str]], file: object) -> dict[str, str]:
    """A person's own words: a token of x, a tab, what is to be written for it. Raises DataError for another line."""
    found: dict[str, str] = {}
    for number, line in lines:
        if not line.strip():
            continue
        word, tab, other = line.partition("\t")
        if not tab or not word.strip() or "\t" in other:
            raise DataError(
                "not a pair of words", file=file, line=number, expected="WORD, a tab, and its translation"
            )
        found[word.strip()] = other.strip()
    if not found:
        raise UsageError("has no words", file=file, expected="WORD, a tab, and its translation")
    return found
