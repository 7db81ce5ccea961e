"""The output `sequence` by CTC: the characters that are said in a sound, fewer than it has steps and in their order;
the lecture's many-to-many with T_x != T_y. Class 0 is none; class i the i-th character."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..config import DataConfig, ModelConfig
from ..decode import ctc as paths
from ..errors import DataError
from ..features import HOP
from ..fronts import FRONTS
from ..metrics import edits
from ..types import Answer, Example, Place, Targets

Floats = NDArray[np.floating[Any]]

STRANGE = "\ufffd"  # stands for a character that training did not know
MOST = 10_000  # characters


@dataclass(frozen=True)
class Transcript:
    """The characters, most frequent first. stride: how many steps of x become one.  lower: whether all was lower-cased.
    search: how a text is found; not kept in the model file."""

    characters: tuple[str, ...]
    stride: int = 1
    lower: bool = False
    search: paths.Search = field(default=paths.Search(), compare=False)

    architecture = "many-to-many"
    output = "ctc"
    crf = False
    targets: ClassVar[Targets] = "own"

    def __post_init__(self) -> None:
        single = all(len(character) == 1 for character in self.characters)
        if not self.characters or len(self.index) != len(self.characters) or not single or self.stride < 1:
            raise DataError("the model's characters are damaged", expected="one or more, each once")

    @property
    def n_y(self) -> int:
        """The characters and none."""
        return len(self.characters) + 1

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Character -> its class."""
        return {name: number for number, name in enumerate(self.characters, 1)}

    @property
    def seconds(self) -> float:
        """Between two of the network's answers."""
        return HOP * self.stride

    def text(self, ids: Iterable[int]) -> str:
        """Classes as text."""
        return "".join(self.characters[i - 1] if i > 0 else STRANGE for i in ids)

    def encode(self, y: Any, steps: int, place: Place | None = None) -> NDArray[np.int64]:
        """[T_y] classes, -1 for a character that training did not know.

        Raises DataError where the steps are too few: no path has such a text, and its loss would be infinite.
        """
        ids = [self.index.get(character, -1) for character in tidy(y or "", lower=self.lower)]
        refuse_infeasible(ids, -(-steps // self.stride), self.seconds, place)
        return np.array(ids, dtype=np.int64)

    def settle(
        self, y: Sequence[NDArray[Any]], answers: Sequence[Floats], weights: Mapping[str, Any]
    ) -> Transcript:
        """Nothing is to be settled."""
        return self

    def answer(self, answer: Floats, steps: Any, top: int, weights: Mapping[str, Any]) -> Answer:
        """The text; in the record its probability among all texts, its words with times in seconds and confidence, and
        the `top` best texts."""
        found = paths.beam_search(answer, self.search, max(1, top))
        texts = [self.text(one.ids) for one in found]
        record: dict[str, Any] = {
            "text": texts[0],
            "confidence": float(np.exp(paths.log_probability(answer, found[0].ids))),
            "words": self._words(answer, found[0].ids),
            "nbest": [
                {"text": text, "log_prob": one.log_prob, "score": one.score}
                for text, one in zip(texts, found, strict=True)
            ],
        }
        return Answer(texts[0], record)

    def _words(self, answer: Floats, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Each word, when it was said, and the geometric mean of its characters' probabilities."""
        found: list[dict[str, Any]] = []
        spans = paths.align(answer, ids)
        text = self.text(ids)
        begin = 0
        for word in text.split(" "):
            own = spans[begin : begin + len(word)]
            begin += len(word) + 1
            if own:
                confidence = float(np.exp(np.mean([mean for _, _, mean in own])))
                start, end = (round(step * self.seconds, 3) for step in (own[0][0], own[-1][1]))
                found.append({"word": word, "start": start, "end": end, "confidence": confidence})
        return found

    def blank(self) -> Answer:
        """The answer to nothing."""
        return Answer("", {"text": "", "confidence": 1.0, "words": [], "nbest": []})

    def metrics(
        self, y: Sequence[NDArray[Any]], answers: Sequence[Floats], weights: Mapping[str, Any]
    ) -> dict[str, Any]:
        """loss (nats a character, of texts whose characters are all known), wer, cer, exact (share of texts without an
        error); greedy_wer, of the best path without a search."""
        nats, characters = 0.0, 0
        pairs: list[tuple[str, str]] = []
        greedy: list[tuple[str, str]] = []
        for truth, answer in zip(y, answers, strict=True):
            ids = truth.tolist()
            if min(ids, default=0) >= 0:
                nats -= paths.log_probability(answer, ids)
                characters += max(1, len(ids))
            text = self.text(ids)
            pairs.append((text, self.text(paths.beam_search(answer, self.search)[0].ids)))
            greedy.append((text, self.text(paths.best_path(answer))))
        return {
            "loss": nats / max(1, characters),
            "wer": edits.word_errors(pairs).rate,
            "cer": edits.character_errors(pairs).rate,
            "exact": sum(truth == said for truth, said in pairs) / max(1, len(pairs)),
            "greedy_wer": edits.word_errors(greedy).rate,
        }

    def describe(self) -> str:
        """For people."""
        return f"{len(self.characters)} characters: {' '.join(map(repr, self.characters[:10]))}" + (
            " ..." if len(self.characters) > 10 else ""
        )

    def to_json(self) -> dict[str, Any]:
        """What `transcript` reads."""
        return {"characters": list(self.characters), "stride": self.stride, "lower": self.lower}


def tidy(text: str, *, lower: bool) -> str:
    """A text with single spaces within and none around it."""
    text = " ".join(text.split())
    return text.lower() if lower else text


def refuse_infeasible(ids: Sequence[int], steps: int, seconds: float, place: Place | None) -> None:
    """Raise DataError for a text that no path of so many steps has."""
    needed = paths.fewest_steps(ids)
    if needed <= steps:
        return
    raise DataError(
        f"{len(ids):,} characters in {steps * seconds:.2f} seconds: they need {needed:,} steps, there are {steps:,}",
        file=place.file if place else None,
        line=place.line if place else None,
        expected="a longer sound, or a text that is said in it",
        hint="--front none, or --skip-bad",
    )


def transcript(value: Mapping[str, Any]) -> Transcript:
    """What `to_json` gave; raises DataError where it is damaged."""
    characters, stride, lower = (value.get(key) for key in ("characters", "stride", "lower"))
    if (
        set(value) != {"characters", "stride", "lower"}
        or not isinstance(characters, list)
        or not all(isinstance(one, str) for one in characters)
        or type(stride) is not int
        or type(lower) is not bool
    ):
        raise DataError("the model's characters are damaged", expected="characters, stride, lower")
    return Transcript(tuple(characters), stride, lower)


def learn_transcript(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Transcript:
    """The characters of some texts."""
    counts: Counter[str] = Counter()
    for example in examples:
        counts.update(tidy(str(example.y or ""), lower=data.lower))
    if not counts:
        raise DataError("no transcripts: not one character", expected="texts", hint="--columns y=NAME")
    if len(counts) > MOST:
        raise DataError(f"{len(counts):,} distinct characters", expected=f"at most {MOST:,}")
    characters = tuple(sorted(counts, key=lambda name: (-counts[name], name)))
    front = FRONTS.get(model.front or "none")
    return Transcript(characters, front.stride if front else 1, data.lower)
