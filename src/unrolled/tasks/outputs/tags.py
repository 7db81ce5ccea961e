"""The output `tags`: a class at every step (many-to-many, T_x = T_y)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.errors import DataError
from unrolled.core.types import IGNORE_INDEX, Answer, Array, Example, Floats, Place, Targets, Timeline
from unrolled.core.values.example_values import as_tags, elements
from unrolled.data.fields import NO_TAG
from unrolled.data.text.span_tags import style_of
from unrolled.models.decoding import crf as paths
from unrolled.models.network_spec import Classes, Crf, output_layer, refuse_adaptive
from unrolled.tasks.details import of_tags
from unrolled.tasks.details.parts import Details, Evaluated
from unrolled.tasks.metrics import spans


@dataclass(frozen=True)
class Tags:
    """The output of tags.

    classes: the tags, most frequent first.
    scheme: how tags mark spans: bio, bioes, iob1 or none.
    crf: decode the most probable sequence of tags that the scheme allows, instead of the most probable tag
    per step.
    iob1: the data uses IOB1; inside the model the tags are BIO.
    unseen: tags that do not occur in the training set, for evaluation on other data; not stored in the model
    file.
    """

    classes: tuple[str, ...]
    scheme: str = "none"
    crf: bool = True
    iob1: bool = False
    unseen: tuple[str, ...] = field(default=(), compare=False)

    targets: ClassVar[Targets] = "each"

    def __post_init__(self) -> None:
        if len(self.index) != len(self.classes) or len(self.classes) < 2:
            raise DataError("the model's tags are damaged", expected="two or more, each once")
        if self.scheme not in spans.SCHEMES:
            raise DataError(f"unknown tag scheme '{self.scheme[:40]}'", expected=", ".join(spans.SCHEMES))

    @property
    def n_y(self) -> int:
        """Number of tags."""
        return len(self.classes)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Tag -> index."""
        return {name: number for number, name in enumerate(self.classes)}

    @cached_property
    def _number(self) -> Mapping[str, int]:
        """Tag -> index. The unseen tags have -2, -3 and so on."""
        return {**self.index, **{name: -2 - i for i, name in enumerate(self.unseen)}}

    @property
    def written(self) -> str:
        """The scheme of the tags in the data."""
        return "iob1" if self.iob1 else self.scheme

    @cached_property
    def allowed(self) -> paths.Allowed:
        """The allowed transitions between tags."""
        return paths.constraints(self.classes, self.scheme)

    def head(self, config: Config) -> Classes | Crf:
        """Return the description of the output layer, with or without a CRF; see `Output`."""
        if not self.crf:
            return Classes(self.n_y, output_layer(config.model.softmax))
        refuse_adaptive(config.model.softmax)
        return Crf(self.n_y)

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.int64]:
        """Encode y as [T] indices.

        An unknown tag becomes -1, or its own index below -1 if it is in `unseen`. A missing tag (None)
        becomes -1.
        Raises DataError if the number of tags differs from the number of steps.
        """
        tags = as_tags(y)
        if len(tags) != steps:
            raise DataError(
                f"{len(tags):,} tags for {steps:,} steps",
                file=place.file if place else None,
                line=place.line if place else None,
                expected="one tag per step",
            )
        numbers = self._number
        ids = (IGNORE_INDEX if tag is None else numbers.get(tag, IGNORE_INDEX) for tag in self._inside(tags))
        return np.fromiter(ids, np.int64, steps)

    def _inside(self, y: Sequence[str | None]) -> Sequence[str | None]:
        """Convert tags of the data to the scheme of the classes."""
        return _as_bio(y, self.classes) if self.iob1 else y

    def unseen_in(self, y: Sequence[str | None]) -> list[str]:
        """Return those tags of y, as written in the data, that do not occur in the training set."""
        pairs = zip(y, self._inside(y), strict=True)
        return [tag for tag, inside in pairs if tag is not None and inside not in self.index]

    def meeting(self, y: Iterable[Sequence[str | None]]) -> Tags:
        """Return a copy for the evaluation of data with these tags.

        It gives each unseen tag its own index.
        """
        inside = (tag for row in y for tag in self._inside(row))
        names = dict.fromkeys(tag for tag in inside if tag is not None and tag not in self.index)
        return replace(self, unseen=tuple(names))

    def calibrate(self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]) -> Tags:
        """Return this output unchanged. It needs no calibration."""
        return self

    def path(self, answer: Floats, weights: Mapping[str, Array]) -> list[int]:
        """Return the most probable tags of one sequence [T, n_y].

        With a CRF this is the most probable path, otherwise the most probable tag of each step.
        """
        if not self.crf:
            return answer.argmax(axis=1).tolist()
        try:
            best, _ = paths.viterbi(answer, self._chain(weights, self.allowed))
        except DataError:  # the sentence is so short that the scheme allows no path of the known tags
            best, _ = paths.viterbi(answer, self._chain(weights, None))
        return best.tolist()

    def _chain(self, weights: Mapping[str, Array], allowed: paths.Allowed | None) -> paths.Chain:
        return paths.chain(weights["crf.T"], weights["crf.begin"], weights["crf.end"], allowed)

    def probabilities(self, answer: Floats, weights: Mapping[str, Array]) -> NDArray[np.float64]:
        """Return [T, n_y] the probability of each tag at each step; with a CRF, summed over all paths."""
        if not self.crf:
            return np.exp(answer.astype(np.float64))
        try:
            return paths.marginals(answer, self._chain(weights, self.allowed))
        except DataError:
            return paths.marginals(answer, self._chain(weights, None))

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """Return the tags, separated by spaces.

        The record has the tokens, the tags and their probabilities. It also has the spans if tags mark spans,
        and intervals if `steps` is the `Timeline` of a recording or a clip.
        """
        path = self.path(answer, weights)
        inside = [self.classes[i] for i in path]
        tags = self._outside(inside)
        probabilities = self.probabilities(answer, weights)
        timeline = steps if isinstance(steps, Timeline) else None
        words = [] if timeline else [step for step in elements(steps) if isinstance(step, str)]
        chosen = [float(row[i]) for row, i in zip(probabilities, path, strict=True)]
        record: dict[str, object] = {"tokens": words, "tags": list(tags), "probabilities": chosen}
        if timeline:
            record["intervals"] = self._intervals(inside, chosen, timeline)
        if self.scheme != "none":
            record["spans"] = [
                {"type": kind, "start": start, "end": end, "text": " ".join(words[start:end])}
                for kind, start, end in spans.spans(inside)
            ]
        return Answer(" ".join(tags), record)

    def _intervals(
        self, tags: Sequence[str], probabilities: Sequence[float], timeline: Timeline
    ) -> list[dict[str, object]]:
        """Return the spans that the tags mark, or, without a scheme, the runs of equal tags except `O`.

        first, last: the first step and one past the last step (0-based).
        start, end: their times in seconds, if known.
        confidence: the geometric mean of the probabilities of the steps.
        """
        found: list[dict[str, object]] = []
        for tag, first, last in spans.spans(tags) if self.scheme != "none" else _runs(tags):
            one: dict[str, object] = {"tag": tag, "first": first, "last": last}
            if timeline.seconds:
                one |= {
                    name: round(at * timeline.seconds, 3) for name, at in (("start", first), ("end", last))
                }
            logs = np.log(np.maximum(probabilities[first:last], 1e-300))
            found.append(one | {"confidence": float(np.exp(logs.mean()))})
        return found

    def blank(self) -> Answer:
        """Return the answer to a blank line."""
        return Answer("", {"tokens": [], "tags": [], "probabilities": []})

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """Return the metrics:

        loss: nats per step, over the sequences whose tags are all known (without a CRF, over the steps with a
        known tag); None if there are none.
        accuracy: fraction of correct tags.
        unseen: fraction of steps whose tag does not occur in the training set, if there are such steps.
        span_precision, span_recall, span_f1, span_f1_by_type: only if tags mark spans.

        Unseen tags count as wrong, and their spans as missed. Steps without a tag in y are ignored.
        """
        pairs = [
            (self.names(t.tolist(), t), self.names(self.path(a, weights), t))
            for t, a in zip(y, answers, strict=True)
        ]
        pairs = self.named(y, answers, weights)
        steps = sum(int((t != IGNORE_INDEX).sum()) for t in y)
        right = sum(
            gold == said
            for t, (true, told) in zip(y, pairs, strict=True)
            for number, gold, said in zip(t.tolist(), true, told, strict=True)
            if number != IGNORE_INDEX
        )
        found: dict[str, object] = {
            "loss": self._loss(y, answers, weights),
            "accuracy": right / steps if steps else None,
        }
        unseen = sum(int((t < IGNORE_INDEX).sum()) for t in y)
        if unseen:
            found["unseen"] = unseen / steps
        if self.scheme != "none":
            tally = spans.tally([gold for gold, _ in pairs], [said for _, said in pairs])
            found |= {
                "span_precision": tally.overall.precision,
                "span_recall": tally.overall.recall,
                "span_f1": tally.overall.f1,
                "span_f1_by_type": {kind: one.f1 for kind, one in tally.types.items()},
            }
        return found

    def named(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> list[tuple[Sequence[str], Sequence[str]]]:
        """Return the true and the predicted tags of each sequence, in the scheme of the data."""
        return [
            (self.names(t.tolist(), t), self.names(self.path(a, weights), t))
            for t, a in zip(y, answers, strict=True)
        ]

    def names(self, numbers: Iterable[int], given: NDArray[np.int64]) -> Sequence[str]:
        """Convert indices to tags in the scheme of the data; `O` for steps without a tag in y."""
        rows = zip(numbers, given.tolist(), strict=True)
        return self._outside(["O" if asked == IGNORE_INDEX else self._name(int(n)) for n, asked in rows])

    def _name(self, number: int) -> str:
        return self.classes[number] if number >= 0 else self.unseen[-2 - number]

    def _outside(self, tags: Sequence[str]) -> Sequence[str]:
        """Convert tags from the internal scheme of the classes to the scheme of the input files."""
        return spans.convert_known(tags, "iob1", style_of(self.classes)) if self.iob1 else tags

    def _loss(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> float | None:
        nats, steps = 0.0, 0
        for truth, answer in zip(y, answers, strict=True):
            known = truth >= 0
            if not len(truth) or (self.crf and not known.all()):
                continue
            steps += int(known.sum())
            if self.crf:
                scores = self._chain(
                    weights, None
                )  # unconstrained, as in training; `path` has the constraints
                nats += paths.log_partition(answer, scores) - paths.path_score(answer, truth, scores)
            else:
                nats -= float(answer[known, truth[known]].sum(dtype=np.float64))
        return nats / steps if steps else None

    def describe(self) -> str:
        """Return a one-line description for messages."""
        marks = "" if self.scheme == "none" else f", marking spans ({self.written})"
        names = ", ".join(self.classes[:8]) + (" ..." if self.n_y > 8 else "")
        return f"{self.n_y} tags{marks}: {names}"

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `tags` reads."""
        iob1 = {"iob1": True} if self.iob1 else {}
        return {"classes": list(self.classes), "scheme": self.scheme, "crf": self.crf, **iob1}


def _runs(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield the runs of equal tags except `O`: the tag, the first step, and one past the last step."""
    at = 0
    for tag, group in groupby(tags):
        first, at = at, at + len(list(group))
        if tag != NO_TAG:
            yield tag, first, at


def tags(value: Mapping[str, object]) -> Tags:
    """Create a Tags from the JSON object of `to_json`. Raises DataError if it is damaged."""
    classes, scheme, crf = (value.get(key) for key in ("classes", "scheme", "crf"))
    iob1 = value.get("iob1", False)
    if (
        set(value) - {"iob1"} != {"classes", "scheme", "crf"}
        or not isinstance(classes, list)
        or not all(isinstance(name, str) for name in classes)
        or not isinstance(scheme, str)
        or type(crf) is not bool
        or type(iob1) is not bool
    ):
        raise DataError("the model's tags are damaged", expected="classes, scheme, crf")
    return Tags(tuple(classes), scheme, crf, iob1)


def details(output: Tags, data: Evaluated) -> Details:
    """Return the results by type and length of the spans, or by tag, the worst sequences, and intervals."""
    pairs = [
        (output.names(t.tolist(), t), output.names(output.path(a, data.weights), t))
        for t, a in zip(data.y, data.answers, strict=True)
    ]
    known = [t != IGNORE_INDEX for t in data.y]
    if output.scheme == "none":
        return of_tags.details_of_tags((*output.classes, *output.unseen), pairs, known, data.examples)
    return of_tags.details_of_spans(pairs, known, data.examples)


def measure(
    output: Tags, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
) -> tuple[float, Mapping[str, float]]:
    """Return the score and the metrics of a validation: F1 of spans, or the fraction of correct tags."""
    pairs = output.named(y, answers, weights)
    if output.scheme != "none":
        f1 = spans.tally([gold for gold, _ in pairs], [said for _, said in pairs]).overall.f1
        return f1, {"span_f1": f1}
    numbers = np.concatenate([np.zeros(0, np.int64), *y])
    right = np.array([gold == said for true, told in pairs for gold, said in zip(true, told, strict=True)])
    asked = numbers != IGNORE_INDEX
    accuracy = float(right[asked].mean()) if asked.any() else 0.0
    return accuracy, {"accuracy": accuracy}


def can_measure(output: Tags, y: Array) -> bool:
    """Return whether an encoded y has a loss: with a CRF all tags must be known, otherwise at least one."""
    return bool((y >= 0).all() if output.crf else (y >= 0).any()) or not len(y)


def learn_tags(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Tags:
    """Learn the tags of examples and the scheme by which they mark spans. IOB1 is converted to BIO.

    Raises DataError for fewer than two tags.
    """
    sequences = [tuple(None if tag is None else str(tag) for tag in elements(one.y)) for one in examples]
    scheme = spans.detect_scheme([tag or "O" for tag in row] for row in sequences)
    counts = Counter(tag for row in sequences for tag in row if tag is not None)
    if scheme == "iob1":
        styled = tuple(counts)
        counts = Counter(tag for row in sequences for tag in _as_bio(row, styled) if tag is not None)
    if len(counts) < 2:
        one = next(iter(counts), None)
        what = "no tags" if one is None else f"only one tag, {one!r:.80}"
        raise DataError(what, expected="two tags or more", hint="--columns y=NAME")
    classes = tuple(sorted(counts, key=lambda name: (-counts[name], name)))
    iob1 = scheme == "iob1"
    return Tags(classes, "bio" if iob1 else scheme, model.crf is not False, iob1)


def _as_bio(y: Sequence[str | None], names: Sequence[str]) -> tuple[str | None, ...]:
    """Convert tags to BIO in the style of `names`.

    Missing tags and tags that mark no span are not changed.
    """
    known = spans.convert_known([tag or "O" for tag in y], "bio", style_of(names))
    return tuple(None if tag is None else new for tag, new in zip(y, known, strict=True))
