"""The output `tags`: a class at every step (many-to-many, T_x = T_y)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig, ModelConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Answer, Example, Place, Targets
from unrolled.models.decoding import crf as paths
from unrolled.tasks.metrics import spans

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Tags:
    """The tags, most frequent first. scheme: how they mark spans (bio, bioes, iob1, or none of these). crf: the path
    is chosen as a whole, and only among those that the scheme allows."""

    classes: tuple[str, ...]
    scheme: str = "none"
    crf: bool = True

    architecture = "many-to-many"
    output = "classes"
    targets: ClassVar[Targets] = "each"

    def __post_init__(self) -> None:
        if len(self.index) != len(self.classes) or len(self.classes) < 2:
            raise DataError("the model's tags are damaged", expected="two or more, each once")
        if self.scheme not in spans.SCHEMES:
            raise DataError(f"unknown tag scheme '{self.scheme[:40]}'", expected=", ".join(spans.SCHEMES))

    @property
    def n_y(self) -> int:
        """How many tags."""
        return len(self.classes)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Tag -> its number."""
        return {name: number for number, name in enumerate(self.classes)}

    @cached_property
    def allowed(self) -> paths.Allowed:
        """Which tags may follow each other."""
        return paths.constraints(self.classes, self.scheme)

    def encode(self, y: Any, steps: int, place: Place | None = None) -> NDArray[np.int64]:
        """[T] numbers; a tag that training did not know asks nothing (-1), as there is no right answer to it.

        Raises DataError where there are not as many tags as steps.
        """
        if len(y) != steps:
            raise DataError(
                f"{len(y):,} tags for {steps:,} steps",
                file=place.file if place else None,
                line=place.line if place else None,
                expected="one tag a step",
            )
        return np.array([self.index.get(tag, -1) for tag in y], dtype=np.int64)

    def settle(
        self, y: Sequence[NDArray[Any]], answers: Sequence[Floats], weights: Mapping[str, Any]
    ) -> Tags:
        """Nothing is to be settled."""
        return self

    def path(self, answer: Floats, weights: Mapping[str, Any]) -> list[int]:
        """The most probable tags of one sequence [T, n_y]: of the whole path with a CRF, else step by step."""
        if not self.crf:
            return answer.argmax(axis=1).tolist()
        try:
            best, _ = paths.viterbi(answer, self._chain(weights, self.allowed))
        except DataError:  # so short a sentence that the scheme allows nothing of what training saw
            best, _ = paths.viterbi(answer, self._chain(weights, None))
        return best.tolist()

    def _chain(self, weights: Mapping[str, Any], allowed: paths.Allowed | None) -> paths.Chain:
        return paths.chain(weights["crf.T"], weights["crf.begin"], weights["crf.end"], allowed)

    def probabilities(self, answer: Floats, weights: Mapping[str, Any]) -> NDArray[np.float64]:
        """[T, n_y] of each tag at each step, over all paths with a CRF."""
        if not self.crf:
            return np.exp(answer.astype(np.float64))
        try:
            return paths.marginals(answer, self._chain(weights, self.allowed))
        except DataError:
            return paths.marginals(answer, self._chain(weights, None))

    def answer(self, answer: Floats, steps: Any, top: int, weights: Mapping[str, Any]) -> Answer:
        """The tags, separated by spaces; in the record tokens, tags, their probabilities, and spans where marked."""
        path = self.path(answer, weights)
        tags = [self.classes[i] for i in path]
        probabilities = self.probabilities(answer, weights)
        words = [step for step in steps if isinstance(step, str)]  # numbers have no words
        record: dict[str, Any] = {
            "tokens": words,
            "tags": tags,
            "probabilities": [float(row[i]) for row, i in zip(probabilities, path, strict=True)],
        }
        if self.scheme != "none":
            record["spans"] = [
                {"type": kind, "start": start, "end": end, "text": " ".join(words[start:end])}
                for kind, start, end in spans.spans(tags)
            ]
        return Answer(" ".join(tags), record)

    def blank(self) -> Answer:
        """The answer to a blank line."""
        return Answer("", {"tokens": [], "tags": [], "probabilities": []})

    def figures(
        self, y: Sequence[NDArray[Any]], answers: Sequence[Floats], weights: Mapping[str, Any]
    ) -> dict[str, Any]:
        """loss (nats a step), accuracy; where tags mark spans, span_precision, span_recall and span_f1, by type too.

        Steps whose tag training did not know count as wrong, and as a span of the type "?" that was missed.
        """
        guessed = [self.path(answer, weights) for answer in answers]
        right = sum(int((np.array(g) == t).sum()) for g, t in zip(guessed, y, strict=True))
        steps = sum(len(t) for t in y)
        found: dict[str, Any] = {"loss": self._loss(y, answers, weights), "accuracy": right / max(1, steps)}
        if self.scheme != "none":
            names = [[[self._name(int(i)) for i in row] for row in side] for side in (y, guessed)]
            tally = spans.tally(names[0], names[1])
            found |= {
                "span_precision": tally.overall.precision,
                "span_recall": tally.overall.recall,
                "span_f1": tally.overall.f1,
                "span_f1_by_type": {kind: one.f1 for kind, one in tally.types.items()},
            }
        return found

    def _name(self, number: int) -> str:
        return self.classes[number] if number >= 0 else "I-?"

    def _loss(
        self, y: Sequence[NDArray[Any]], answers: Sequence[Floats], weights: Mapping[str, Any]
    ) -> float:
        """Nats a step, over the sequences (without a CRF the steps) whose tags are all known."""
        nats, steps = 0.0, 0
        for truth, answer in zip(y, answers, strict=True):
            known = truth >= 0
            if not len(truth) or (self.crf and not known.all()):
                continue
            steps += int(known.sum())
            if self.crf:
                scores = self._chain(weights, None)  # as it was trained: what may not be is left to `path`
                nats += paths.log_partition(answer, scores) - paths.path_score(answer, truth, scores)
            else:
                nats -= float(answer[known, truth[known]].sum(dtype=np.float64))
        return nats / max(1, steps)

    def describe(self) -> str:
        """For people."""
        marks = "" if self.scheme == "none" else f", marking spans ({self.scheme})"
        names = ", ".join(self.classes[:8]) + (" ..." if self.n_y > 8 else "")
        return f"{self.n_y} tags{marks}: {names}"

    def to_json(self) -> dict[str, Any]:
        """What `tags` reads."""
        return {"classes": list(self.classes), "scheme": self.scheme, "crf": self.crf}


def tags(value: Mapping[str, Any]) -> Tags:
    """What `to_json` gave; raises DataError where it is damaged."""
    classes, scheme, crf = (value.get(key) for key in ("classes", "scheme", "crf"))
    if (
        set(value) != {"classes", "scheme", "crf"}
        or not isinstance(classes, list)
        or not all(isinstance(name, str) for name in classes)
        or not isinstance(scheme, str)
        or type(crf) is not bool
    ):
        raise DataError("the model's tags are damaged", expected="classes, scheme, crf")
    return Tags(tuple(classes), scheme, crf)


def learn_tags(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Tags:
    """The tags of some examples, and the scheme by which they mark spans."""
    counts: Counter[str] = Counter()
    sequences: list[tuple[str, ...]] = []
    for example in examples:
        names = tuple(str(tag) for tag in example.y or ())
        counts.update(names)
        sequences.append(names)
    if len(counts) < 2:
        one = next(iter(counts), None)
        what = "no tags" if one is None else f"only one tag, {one!r:.80}"
        raise DataError(what, expected="two tags or more", hint="--columns y=NAME")
    classes = tuple(sorted(counts, key=lambda name: (-counts[name], name)))
    return Tags(classes, spans.detect_scheme(sequences), model.crf is not False)
