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
from unrolled.tasks.metrics import spans


@dataclass(frozen=True)
class Tags:
    """The tags, most frequent first. scheme: how they mark spans (bio, bioes, iob1, or none of these). crf: the path
    is chosen as a whole, and only among those that the scheme allows. iob1: people write IOB1; here tags are BIO.
    unseen: tags that training did not have, for the measurement of other data; not kept in the model file."""

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
        """How many tags."""
        return len(self.classes)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Tag -> its number."""
        return {name: number for number, name in enumerate(self.classes)}

    @cached_property
    def _number(self) -> Mapping[str, int]:
        """Tag -> its number; the unseen ones have -2, -3 and so on."""
        return {**self.index, **{name: -2 - i for i, name in enumerate(self.unseen)}}

    @property
    def written(self) -> str:
        """The scheme in which people write the tags."""
        return "iob1" if self.iob1 else self.scheme

    @cached_property
    def allowed(self) -> paths.Allowed:
        """Which tags may follow each other."""
        return paths.constraints(self.classes, self.scheme)

    def head(self, config: Config) -> Classes | Crf:
        """The output layer, with a CRF or without one; see `Output`."""
        if not self.crf:
            return Classes(self.n_y, output_layer(config.model.softmax))
        refuse_adaptive(config.model.softmax)
        return Crf(self.n_y)

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.int64]:
        """[T] numbers. A tag that training did not know has no right answer: -1, or, where it is in `unseen`, a number
        of its own below -1. None (not given) is -1.

        Raises DataError where there are not as many tags as steps.
        """
        tags = as_tags(y)
        if len(tags) != steps:
            raise DataError(
                f"{len(tags):,} tags for {steps:,} steps",
                file=place.file if place else None,
                line=place.line if place else None,
                expected="one tag a step",
            )
        numbers = self._number
        ids = (IGNORE_INDEX if tag is None else numbers.get(tag, IGNORE_INDEX) for tag in self._inside(tags))
        return np.fromiter(ids, np.int64, steps)

    def _inside(self, y: Sequence[str | None]) -> Sequence[str | None]:
        """Tags as people write them in the scheme of the classes."""
        return _as_bio(y, self.classes) if self.iob1 else y

    def unseen_in(self, y: Sequence[str | None]) -> list[str]:
        """The tags among these, as people write them, that training did not have."""
        pairs = zip(y, self._inside(y), strict=True)
        return [tag for tag, inside in pairs if tag is not None and inside not in self.index]

    def meeting(self, y: Iterable[Sequence[str | None]]) -> Tags:
        """The same for the measurement of data with these tags, whose unseen ones are told apart."""
        inside = (tag for row in y for tag in self._inside(row))
        names = dict.fromkeys(tag for tag in inside if tag is not None and tag not in self.index)
        return replace(self, unseen=tuple(names))

    def calibrate(self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]) -> Tags:
        """Nothing is to be settled."""
        return self

    def path(self, answer: Floats, weights: Mapping[str, Array]) -> list[int]:
        """The most probable tags of one sequence [T, n_y]: of the whole path with a CRF, else step by step."""
        if not self.crf:
            return answer.argmax(axis=1).tolist()
        try:
            best, _ = paths.viterbi(answer, self._chain(weights, self.allowed))
        except DataError:  # so short a sentence that the scheme allows nothing of what training saw
            best, _ = paths.viterbi(answer, self._chain(weights, None))
        return best.tolist()

    def _chain(self, weights: Mapping[str, Array], allowed: paths.Allowed | None) -> paths.Chain:
        return paths.chain(weights["crf.T"], weights["crf.begin"], weights["crf.end"], allowed)

    def probabilities(self, answer: Floats, weights: Mapping[str, Array]) -> NDArray[np.float64]:
        """[T, n_y] of each tag at each step, over all paths with a CRF."""
        if not self.crf:
            return np.exp(answer.astype(np.float64))
        try:
            return paths.marginals(answer, self._chain(weights, self.allowed))
        except DataError:
            return paths.marginals(answer, self._chain(weights, None))

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """The tags, separated by spaces; in the record tokens, tags, their probabilities, spans where marked, and of a
        recording or a clip (steps is its `Timeline`) intervals."""
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
        """Stretches of steps with one tag, `O` left out, or the spans that the tags mark: `first` and `last` step
        (counted from 0, `last` is one past the end), their times in seconds where these are known, and the geometric
        mean of the steps' probabilities."""
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
        """The answer to a blank line."""
        return Answer("", {"tokens": [], "tags": [], "probabilities": []})

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """loss (nats a step), accuracy; where tags mark spans, span_precision, span_recall and span_f1, by type too;
        unseen: the fraction of steps whose tag training did not have, where there are any.

        Unseen tags count as wrong, and their spans as missed. Steps without a given tag do not count. The loss is that
        of the sequences (without a CRF the steps) whose tags are all known; None if there are none.
        """
        pairs = [
            (self._names(t.tolist(), t), self._names(self.path(a, weights), t))
            for t, a in zip(y, answers, strict=True)
        ]
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

    def _names(self, numbers: Iterable[int], given: NDArray[np.int64]) -> Sequence[str]:
        """The tags of numbers as people write them; `O` where no tag is given."""
        rows = zip(numbers, given.tolist(), strict=True)
        return self._outside(["O" if asked == IGNORE_INDEX else self._name(int(n)) for n, asked in rows])

    def _name(self, number: int) -> str:
        return self.classes[number] if number >= 0 else self.unseen[-2 - number]

    def _outside(self, tags: Sequence[str]) -> Sequence[str]:
        """Tags of the classes as people write them."""
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
                scores = self._chain(weights, None)  # as it was trained: what may not be is left to `path`
                nats += paths.log_partition(answer, scores) - paths.path_score(answer, truth, scores)
            else:
                nats -= float(answer[known, truth[known]].sum(dtype=np.float64))
        return nats / steps if steps else None

    def describe(self) -> str:
        """For people."""
        marks = "" if self.scheme == "none" else f", marking spans ({self.written})"
        names = ", ".join(self.classes[:8]) + (" ..." if self.n_y > 8 else "")
        return f"{self.n_y} tags{marks}: {names}"

    def to_json(self) -> dict[str, object]:
        """What `tags` reads."""
        iob1 = {"iob1": True} if self.iob1 else {}
        return {"classes": list(self.classes), "scheme": self.scheme, "crf": self.crf, **iob1}


def _runs(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Steps that follow each other with the same tag, but for `O`: the tag, the first, and one past the last."""
    at = 0
    for tag, group in groupby(tags):
        first, at = at, at + len(list(group))
        if tag != NO_TAG:
            yield tag, first, at


def tags(value: Mapping[str, object]) -> Tags:
    """What `to_json` gave; raises DataError where it is damaged."""
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


def can_measure(output: Tags, y: Array) -> bool:
    """Whether the loss of an encoded y counts: with a CRF every tag must be known, else one of them."""
    return bool((y >= 0).all() if output.crf else (y >= 0).any()) or not len(y)


def learn_tags(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Tags:
    """The tags of some examples, and the scheme by which they mark spans. IOB1 becomes BIO."""
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
    """Tags in BIO, written as `names` are; what is no tag of a span, or not given, stays."""
    known = spans.convert_known([tag or "O" for tag in y], "bio", style_of(names))
    return tuple(None if tag is None else new for tag, new in zip(y, known, strict=True))
