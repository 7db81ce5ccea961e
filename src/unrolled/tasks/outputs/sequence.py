"""The output `sequence`: a text with its own length, written by a decoder (many-to-many, T_x != T_y).

An encoder-decoder writes the text token by token. The answer to an x is the list of candidates of a beam
search.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig, fill
from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Answer, Array, Example, Integers, Place, Targets
from unrolled.core.values.example_values import as_text, elements, length
from unrolled.core.values.json_values import as_object
from unrolled.data.text.token_counter import Coverage
from unrolled.data.text.tokenize import of_characters, written
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
from unrolled.tasks.size_rules import epochs_for

SHORTEST = 8  # an x with fewer steps is treated as having this length when length ratios are computed
ROOM = 1.5  # an answer is at most this many times as long as the greatest length ratio in the training set allows


USUAL = BeamOptions()


@dataclass(frozen=True)
class GenerationOptions:
    """How answers are generated and printed.

    search: options of the beam search.
    temperature: if set, draw `search.nbest` samples instead of searching.
    seed: the random seed of the samples.
    scores, alignment: print them in text answers too.
    copy_unknown: the decoder may write `<UNK>`, which is replaced by the token of x with the highest
    attention weight, or by the entry of this token in `dictionary`.
    Raises UsageError for an invalid temperature.
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
    """A candidate answer.

    attended: for each id, the step of x with the highest attention weight; empty if it was not requested.
    """

    hypothesis: Hypothesis
    attended: tuple[int, ...] = ()


class Written(TypedDict):
    """A candidate as a record.

    cut: the candidate reached the length limit without `<EOS>`.  alignment: pairs (step of x, step of y).
    """

    text: str
    log_probability: float
    score: float
    tokens: list[str]
    cut: NotRequired[bool]
    alignment: NotRequired[list[list[int]]]


@dataclass(frozen=True)
class Found:
    """The result for one x.

    candidates: best first.  nats, tokens: the loss and the number of tokens of the true y, if y is known.
    """

    candidates: tuple[Candidate, ...]
    nats: float = math.nan
    tokens: int = 0


@dataclass(frozen=True)
class Sequences:
    """The output of texts.

    reading: how y is split into tokens and joined.
    ratio: the maximum ratio of the number of ids of y to the `size` of x in the training set.
    longest: the maximum number of ids of y in the training set.
    `ratio` and `longest` limit the length of answers; see `limit`.
    about: a description of the vocabulary.
    """

    reading: Reading
    ratio: float
    longest: int
    about: str = ""

    targets: ClassVar[Targets] = "own"

    def __post_init__(self) -> None:
        if not (0 < self.ratio < math.inf and self.longest > 0):
            raise DataError("the output settings in the model file are damaged", expected="lengths above 0")

    @property
    def n_y(self) -> int:
        """Number of tokens, including `<UNK>` and `<EOS>`."""
        return len(self.reading.vocabulary)

    def head(self, config: Config) -> DecoderSpec:
        """Return the description of the decoder and its attention; see `Output`."""
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
        """Encode y as [T_y] ids. The last is `<EOS>`."""
        return np.append(self.reading.encode(str(y)).astype(np.int64), EOS)

    def as_written(self, text: str) -> str:
        """Return a text in the form in which the model would write it."""
        return self.reading.as_written(text)

    def limit(self, size: int) -> int:
        """Return the maximum number of ids in the answer to an x of this size."""
        return min(math.ceil(ROOM * self.ratio * max(size, SHORTEST)), 4 * self.longest) + SHORTEST

    def calibrate(
        self, y: Sequence[Array], answers: Sequence[Found], weights: Mapping[str, Array]
    ) -> Sequences:
        """Return this output unchanged. It needs no calibration."""
        return self

    def find(
        self,
        decoder: Decoder,
        x: Array,
        lengths: Integers,
        sizes: Sequence[int],
        decode_options: GenerationOptions,
        lines: Sequence[int],
    ) -> list[Found]:
        """Generate answers to a batch of sequences.

        sizes: the `size` of each x.  lines: the line number of each sequence; samples depend on it.
        """
        state = decoder.begin(x, lengths)
        limits = np.array([self.limit(size) for size in sizes])
        if decode_options.temperature is None:
            banned = () if decode_options.copy_unknown else (UNK,)
            found = search(decoder, state, limits, replace(decode_options.search, stop=EOS, banned=banned))
        else:
            found = _drawn(decoder, state, limits, decode_options, lines)
        flat = [(row, one) for row, several in enumerate(found) for one in several]
        aligned = decode_options.alignment or (
            decode_options.copy_unknown and any(UNK in one.ids for _, one in flat)
        )
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
        """Return the loss of each true y in nats and its number of tokens, both including `<EOS>`."""
        paths = forced_decode(decoder, decoder.begin(x, lengths), [own.tolist() for own in y])
        return [(-float(path.log_probs.sum()), len(path.log_probs)) for path in paths]

    def tokens(
        self, candidate: Candidate, steps: Sequence[str], decode_options: GenerationOptions
    ) -> list[str]:
        """Return the tokens of a candidate. `<UNK>` is replaced if `decode_options.copy_unknown` is set."""
        names = [self.reading.vocabulary.name(number) for number in candidate.hypothesis.ids]
        if not decode_options.copy_unknown or not candidate.attended:
            return names
        for place, number in enumerate(candidate.hypothesis.ids):
            if number == UNK and candidate.attended[place] < len(steps):
                copied = steps[candidate.attended[place]]
                names[place] = decode_options.dictionary.get(copied, copied)
        return names

    def told(self, found: Found, steps: object, decode_options: GenerationOptions) -> Answer:
        """Convert candidates to an answer: a text with one line per candidate, and a record.

        If several candidates are requested, the text ends with an empty line.
        """
        words = [step for step in elements(steps) if isinstance(step, str)]  # empty if x is numbers
        records = [self._record(one, words, decode_options) for one in found.candidates]
        # Samples are independent, so equal texts are kept. In the list of a search each text occurs once.
        records = _joined(records) if decode_options.temperature is None else records
        lines = [_line(record, decode_options) for record in records]
        text = (
            lines[0] if decode_options.search.nbest == 1 and lines else "".join(line + "\n" for line in lines)
        )
        several = {"nbest": records} if decode_options.search.nbest > 1 else {}
        return Answer(text, {**(records[0] if records else {"text": ""}), **several})

    def _record(
        self, candidate: Candidate, words: Sequence[str], decode_options: GenerationOptions
    ) -> Written:
        one, tokens = candidate.hypothesis, self.tokens(candidate, words, decode_options)
        record: Written = {
            "text": self.reading.join(tokens),
            "log_probability": one.log_probability,
            "score": one.score,
            "tokens": [self.reading.bare(token) for token in tokens],
        }
        if not one.closed:
            record["cut"] = True  # reached the length limit
        if decode_options.alignment:
            record["alignment"] = [[x, y] for y, x in enumerate(candidate.attended)]
        return record

    def to_answer(self, answer: Found, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """Convert candidates to an answer with the default options; see `told`."""
        return self.told(answer, steps, PLAIN)

    def blank(self) -> Answer:
        """Return the answer to a blank line."""
        return Answer("", {"text": ""})

    def figures(
        self, y: Sequence[str], answers: Sequence[Found], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """Return loss, perplexity, exact, token_error_rate, cer, and the metrics of `bleu.score`.

        loss: nats per token.
        exact: fraction of texts without an error.
        y: texts. They are compared with the answers in the form that the model writes: with single spaces if
        white space is not a token, and in lower case if the model reads lower case. In lower case the
        signatures of BLEU and chrF contain `case:lc`.
        """
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
        """Return a one-line description for messages."""
        return f"text output: {self.about}"

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `sequences` reads."""
        return {
            "reading": self.reading.to_json(),
            "ratio": self.ratio,
            "longest": self.longest,
            "about": self.about,
        }


def unseen_in(output: Sequences, y: object) -> list[str]:
    """Return the tokens of a text, each once, if all are unknown; otherwise an empty list.

    A text with some known tokens has a loss; its unknown tokens count as `<UNK>`.
    """
    text = str(y or "")
    known = bool((output.reading.encode(text) != UNK).any())
    return [] if known else list(dict.fromkeys(output.reading.split(text)))


def can_measure(output: Sequences, y: Array) -> bool:
    """Return whether the loss of an encoded text is meaningful: it must be empty or have a known token."""
    return len(y) < 2 or bool((y[:-1] != UNK).any())


def size(x: object) -> int:
    """Return the length of x: characters of a text (for any unit), tokens of a list, or steps of numbers."""
    return length(x)


def _drawn(
    decoder: Decoder, state: object, limits: Integers, decode_options: GenerationOptions, lines: Sequence[int]
) -> list[list[Hypothesis]]:
    """Draw `nbest` samples for each sequence.

    Each depends only on the seed, the line and the index of the sample.
    """
    count = decode_options.search.nbest
    rows = np.repeat(np.arange(len(limits)), count)
    rngs = [
        np.random.default_rng((decode_options.seed, line, draw)) for line in lines for draw in range(count)
    ]
    settings = SamplingOptions(
        decode_options.temperature or 0.0, banned=() if decode_options.copy_unknown else (UNK,), stop=EOS
    )
    drawn = sample_rows(decoder, decoder.take(state, rows), rngs, limits[rows], settings)
    made = [Hypothesis(one.ids, one.log_probability, one.log_probability, one.closed) for one in drawn]
    return [made[start : start + count] for start in range(0, len(made), count)]


def _joined(records: Sequence[Written]) -> list[Written]:
    """Merge candidates with the same text.

    The same text may be split into tokens in several ways. Their probabilities are added; the other values
    are those of the first. Texts that differ only in white space at their ends count as equal.
    """
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


def _line(record: Written, decode_options: GenerationOptions) -> str:
    """Format a candidate as one line, with the score and the alignment (`x-y`, 0-based) if requested."""
    parts = [f"{record['score']:.4f}"] if decode_options.scores else []
    parts.append(" ".join(record["text"].splitlines()))
    parts += [" ".join(f"{x}-{y}" for x, y in record["alignment"])] if "alignment" in record else []
    return "\t".join(parts)


def sequences(value: Mapping[str, object]) -> Sequences:
    """Create a Sequences from the JSON object of `to_json`. Raises DataError if it is damaged."""
    ratio, longest, about = value.get("ratio"), value.get("longest"), value.get("about")
    if (
        set(value) != {"reading", "ratio", "longest", "about"}
        or not isinstance(ratio, float | int)
        or type(longest) is not int
        or not isinstance(about, str)
    ):
        raise DataError(
            "the output settings in the model file are damaged", expected="reading, ratio, longest"
        )
    return Sequences(Reading.from_json(as_object(value["reading"])), float(ratio), longest, about)


def learn_sequence(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Sequences:
    """Learn the vocabulary of y and the limits of its length.

    It reads the examples once, and keeps the length of each x and the text of each y for a second pass.
    """
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
    """Read a dictionary from lines (number, text): a token of x, a tab, and the text that replaces it.

    Raises DataError for any other line, and UsageError if there are no words. Blank lines are ignored.
    """
    found: dict[str, str] = {}
    for number, line in lines:
        if not line.strip():
            continue
        word, tab, other = line.partition("\t")
        if not tab or not word.strip() or "\t" in other:
            raise DataError(
                "not a pair of words", file=file, line=number, expected="WORD, a tab, and a translation"
            )
        found[word.strip()] = other.strip()
    if not found:
        raise UsageError("the file has no words", file=file, expected="WORD, a tab, and a translation")
    return found


def pair_sizes(config: Config, sequences: int, steps: int) -> Config:
    """Fill the defaults for the output `sequence`.

    It needs more training steps. Small data sets overfit without label smoothing and weight decay.
    """
    model, words = config.model, not of_characters(config.data.source_unit or config.data.unit)
    batch_size = config.training.batch_size or int(min(64, max(4, sequences // 25)))
    hidden = model.hidden or (256 if steps > 100_000 else 128)
    blanks = {
        "batch_size": batch_size,
        "epochs": epochs_for(config, 6_000, sequences, batch_size),
        "hidden": hidden,
        "tie": bool(config.data.shared) and model.softmax == "exact" and model.embedding in (None, hidden),
        "weight_decay": 0.1,
        "label_smoothing": 0.1 if model.softmax == "exact" else 0.0,
        "dropout": 0.3 if words else 0.1,
        "input_dropout": 0.2 if words else 0.0,
    }
    config = fill(config, blanks)
    return fill(config, {"embedding": hidden}) if config.data.shared and config.model.tie else config
