"""The output `sequence` by CTC: a text in the order of the steps of x (many-to-many, T_x != T_y).

The text must not have more pieces than x has steps. Class 0 is the blank; class i is the i-th character or
subword.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets, Timeline
from unrolled.data.features import loudness
from unrolled.data.features.log_mel import HOP
from unrolled.data.text.subword import SUBWORD, Subwords
from unrolled.data.text.subword import learn as learn_subwords
from unrolled.models.decoding import ctc
from unrolled.models.frontends import FRONTS
from unrolled.models.network_spec import Ctc, refuse_adaptive
from unrolled.tasks.metrics import edit_distance

STRANGE = "\ufffd"  # replaces a character that does not occur in the training set
SPACE = "Ġ"  # the mark for a space in subwords
MOST = 10_000  # maximum number of distinct characters
SILENT = -1e4  # nats added to the log-probability of pieces in silence, so that no word is placed there
LATE = 0.15  # the network may answer up to this many seconds before or after a sound
_KEYS = ("pieces", "stride", "lower", "subwords")


@dataclass(frozen=True)
class Transcript:
    """The output of texts by CTC.

    pieces: characters or subwords, most frequent first.
    stride: how many steps of x the front end merges into one.
    lower: whether texts are lower-cased.
    subwords: splits words into subwords, if these are the pieces.
    search: options of the beam search; not stored in the model file.
    """

    pieces: tuple[str, ...]
    stride: int = 1
    lower: bool = False
    subwords: Subwords | None = None
    search: ctc.CtcBeamOptions = field(default=ctc.CtcBeamOptions(), compare=False)

    targets: ClassVar[Targets] = "own"

    def __post_init__(self) -> None:
        sound = self.subwords is not None or all(len(piece) == 1 for piece in self.pieces)
        if not self.pieces or len(self.index) != len(self.pieces) or not sound or self.stride < 1:
            raise DataError("the model's characters are damaged", expected="one or more, each once")

    @property
    def n_y(self) -> int:
        """Number of classes: the pieces and the blank."""
        return len(self.pieces) + 1

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Piece -> class."""
        return {name: number for number, name in enumerate(self.pieces, 1)}

    @cached_property
    def begins(self) -> NDArray[np.bool_]:
        """[n_y] Whether a piece begins with a space."""
        space = " " if self.subwords is None else SPACE
        return np.array([False, *(piece.startswith(space) for piece in self.pieces)])

    @property
    def seconds(self) -> float:
        """Seconds per step of the network output."""
        return HOP * self.stride

    def text(self, ids: Iterable[int]) -> str:
        """Convert classes to text."""
        pieces = [self.pieces[i - 1] if i > 0 else STRANGE for i in ids]
        return "".join(pieces) if self.subwords is None else self.subwords.join(pieces)

    def as_written(self, text: str) -> str:
        """Return a text in the form in which the model would write it."""
        return tidy(text, lower=self.lower)

    def split(self, text: str) -> list[str]:
        """Split a text into pieces, known or unknown."""
        said = self.as_written(text)
        return list(said) if self.subwords is None else self.subwords.split(said)

    def head(self, config: Config) -> Ctc:
        """Return the description of the output layer; see `Output`."""
        refuse_adaptive(config.model.softmax)
        return Ctc(self.n_y)

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.int64]:
        """Encode y as [T_y] classes; -1 for a piece that does not occur in the training set.

        Raises DataError if there are too few steps: CTC has no path for such a text, so its loss would be
        infinite.
        """
        ids = [self.index.get(piece, -1) for piece in self.split(str(y or ""))]
        refuse_infeasible(ids, -(-steps // self.stride), self.seconds, place)
        return np.array(ids, dtype=np.int64)

    def calibrate(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Transcript:
        """Return this output unchanged. It needs no calibration."""
        return self

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """Return the text of a sequence.

        The record has the probability of the text among all texts, its words with times (seconds) and
        confidence, and the `top` best texts.
        steps: the `Timeline` of a recording. For any other object, the times are those of the network steps.
        """
        timeline = steps if isinstance(steps, Timeline) else None
        found = ctc.beam_search(answer, self.search, max(1, top))
        texts = [self.text(one.ids) for one in found]
        record: dict[str, object] = {
            "text": texts[0],
            "confidence": float(np.exp(ctc.log_probability(answer, found[0].ids))),
            "words": self._words(answer, found[0].ids, timeline),
            "nbest": [
                {"text": text, "log_prob": one.log_prob, "score": one.score}
                for text, one in zip(texts, found, strict=True)
            ],
        }
        return Answer(texts[0], record)

    def _words(
        self, answer: Floats, ids: Sequence[int], timeline: Timeline | None
    ) -> list[dict[str, object]]:
        """Return each word with its start, its end and its confidence.

        The confidence is the geometric mean of the probabilities of its pieces.
        """
        words: list[list[int]] = [[]]  # for each word the indices of its pieces
        for at, one in enumerate(ids):
            if self.begins[one]:
                words.append([])
            if len(self.pieces[one - 1]) > self.begins[one]:  # the piece is more than a space
                words[-1].append(at)
        words = [places for places in words if places]
        spans = ctc.align(answer, ids)
        heard = None if timeline is None else timeline.loudness
        if heard is None:
            times = [(spans[own[0]][0] * self.seconds, spans[own[-1]][1] * self.seconds) for own in words]
        else:
            times = self._times(answer, ids, words, heard)
        return [
            {
                "word": self.text(ids[at] for at in own),
                "start": round(start, 3),
                "end": round(end, 3),
                "confidence": float(np.exp(np.mean([spans[at][2] for at in own]))),
            }
            for own, (start, end) in zip(words, times, strict=True)
        ]

    def _times(
        self, answer: Floats, ids: Sequence[int], words: Sequence[Sequence[int]], heard: Array
    ) -> list[tuple[float, float]]:
        """Return the start and the end of each word.

        The network may answer before or after the sound of a piece. So pieces are aligned only near audible
        stretches. A word extends to the pauses around it. If there is no pause, it ends at the quietest
        moment between the words.
        """
        places = loudness.stretches(heard)
        if places:
            answer = answer.astype(np.float64)
            moments = (np.arange(len(answer)) + 0.5) * self.seconds + loudness.CENTRE / 2
            silent = [loudness.distance(places, moment) > LATE for moment in moments.tolist()]
            answer[silent, 1:] += SILENT
        spans = ctc.align(answer, ids)
        own = [(spans[at[0]][0] * self.seconds, spans[at[-1]][1] * self.seconds) for at in words]
        if not places:
            return own
        found: list[tuple[float, float]] = []
        held = [(loudness.nearest(places, a), loudness.nearest(places, b)) for a, b in own]
        for number, (first, last) in enumerate(held):
            start, end = places[first][0], places[last][1]
            if number and held[number - 1][1] == first:  # no pause before it
                start = found[-1][1]
            if number + 1 < len(own) and held[number + 1][0] == last:
                end = loudness.quietest(
                    heard, own[number][1] - self.seconds, own[number + 1][0] + self.seconds
                )
            found.append((start, max(start, end)))
        return found

    def blank(self) -> Answer:
        """Return the answer to a blank input."""
        return Answer("", {"text": "", "confidence": 1.0, "words": [], "nbest": []})

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """Return the metrics:

        loss: nats per piece, over the texts whose pieces are all known; None if there are no such texts.
        wer: word error rate.  substitutions, deletions, insertions: its errors.
        words: the number of true words.
        cer: character error rate.
        exact: fraction of texts without an error.
        greedy_wer: word error rate of the best path, without beam search.
        """
        nats, pieces = 0.0, 0
        pairs: list[tuple[str, str]] = []
        greedy: list[tuple[str, str]] = []
        for truth, answer in zip(y, answers, strict=True):
            ids = truth.tolist()
            if min(ids, default=0) >= 0:
                nats -= ctc.log_probability(answer, ids)
                pieces += max(1, len(ids))
            text = self.text(ids)
            pairs.append((text, self.text(ctc.beam_search(answer, self.search)[0].ids)))
            greedy.append((text, self.text(ctc.best_path(answer))))
        words = edit_distance.word_errors(pairs)
        return {
            "loss": nats / pieces if pieces else None,
            "wer": words.rate,
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
            "words": words.truth,
            "cer": edit_distance.character_errors(pairs).rate,
            "exact": sum(truth == said for truth, said in pairs) / len(pairs) if pairs else None,
            "greedy_wer": edit_distance.word_errors(greedy).rate,
        }

    def describe(self) -> str:
        """Return a one-line description for messages."""
        kind = "characters" if self.subwords is None else "subwords"
        return f"{len(self.pieces)} {kind}: {' '.join(map(repr, self.pieces[:10]))}" + (
            " ..." if len(self.pieces) > 10 else ""
        )

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `transcript` reads."""
        cut = None if self.subwords is None else self.subwords.json
        return {"pieces": list(self.pieces), "stride": self.stride, "lower": self.lower, "subwords": cut}


def measure(
    output: Transcript, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
) -> tuple[float, Mapping[str, float]]:
    """Return the score and the metrics of a validation: WER and CER of the best path, without beam search.

    The score is the negative CER, because the WER of short texts changes in large steps.
    """
    pairs = [
        (output.text(t.tolist()), output.text(ctc.best_path(a))) for t, a in zip(y, answers, strict=True)
    ]
    characters = edit_distance.character_errors(pairs).rate
    return -characters, {"wer": edit_distance.word_errors(pairs).rate, "cer": characters}


def unseen_in(output: Transcript, y: object) -> list[str]:
    """Return the pieces of a text that do not occur in the training set, each once."""
    return [piece for piece in dict.fromkeys(output.split(str(y or ""))) if piece not in output.index]


def can_measure(output: Transcript, y: Array) -> bool:
    """Return whether the loss of an encoded text is meaningful.

    The loss ignores unknown pieces, so at least half of the pieces that are not spaces must be known.
    """
    blank = np.array([0] + [not name.strip(" " + SPACE) for name in output.pieces], np.bool_)
    known = int((~blank[y[y > 0]]).sum())
    return int((y < 0).sum()) <= known


def tidy(text: str, *, lower: bool) -> str:
    """Return a text with single spaces and without spaces at its ends; lower-cased if `lower` is set."""
    text = " ".join(text.split())
    return text.lower() if lower else text


def refuse_infeasible(ids: Sequence[int], steps: int, seconds: float, place: Place | None) -> None:
    """Raise DataError if CTC has no path for a text because there are too few steps."""
    needed = ctc.fewest_steps(ids)
    if needed <= steps:
        return
    raise DataError(
        f"{len(ids):,} characters in {steps * seconds:.2f} seconds need {needed:,} steps, but there are {steps:,}",
        file=place.file if place else None,
        line=place.line if place else None,
        expected="a longer recording, or the right text",
        hint="--front none, or --skip-bad",
    )


def transcript(value: Mapping[str, object]) -> Transcript:
    """Create a Transcript from the JSON object of `to_json`. Raises DataError if it is damaged."""
    pieces, stride, lower, cut = (value.get(key) for key in _KEYS)
    if (
        set(value) != set(_KEYS)
        or not isinstance(pieces, list)
        or not all(isinstance(one, str) for one in pieces)
        or type(stride) is not int
        or type(lower) is not bool
        or not isinstance(cut, str | None)
    ):
        raise DataError("the model's characters are damaged", expected=", ".join(_KEYS))
    return Transcript(tuple(pieces), stride, lower, None if cut is None else Subwords(cut))


def learn_transcript(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Transcript:
    """Learn the characters of texts, or with `--unit subword` their subwords.

    Raises DataError if there are no characters or too many distinct characters.
    Raises MissingExtra for subwords if their package is not installed.
    """
    texts = (tidy(str(example.y or ""), lower=data.lower) for example in examples)
    subwords: Subwords | None = None
    counts: Mapping[str, int]
    if data.unit == SUBWORD:
        subwords, found = learn_subwords(texts, data.vocab_size)
        counts = {piece: count for piece, count in found.items() if count}  # unused pieces cannot be learned
    else:
        counts = Counter(character for text in texts for character in text)
    if not counts:
        raise DataError("the transcripts have no characters", expected="texts", hint="--columns y=NAME")
    if len(counts) > MOST:
        raise DataError(f"{len(counts):,} distinct characters", expected=f"at most {MOST:,}")
    pieces = tuple(sorted(counts, key=lambda name: (-counts[name], name)))
    front = FRONTS.get(model.front or "none")
    return Transcript(pieces, front.stride if front else 1, data.lower, subwords)
