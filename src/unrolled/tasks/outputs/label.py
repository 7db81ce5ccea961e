"""The output `label`: one class, or an ordered rating, for each sequence (many-to-one)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.errors import DataError, UsageError, suggest
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets
from unrolled.core.values.json_values import as_number
from unrolled.data.fields import parse_number, whole_number
from unrolled.models.network_spec import Classes, output_layer
from unrolled.tasks.details import intervals, of_classes
from unrolled.tasks.details.parts import WORST, Details, Evaluated, combined
from unrolled.tasks.metrics import classification


@dataclass(frozen=True)
class Label:
    """The output of classes.

    classes: the names in order.  ordinal: whether the classes are ordered.
    temperature: divides the log-probabilities to calibrate them (Guo et al. 2017, arXiv 1706.04599v2); fitted
    on the validation set.
    """

    classes: tuple[str, ...]
    ordinal: bool = False
    temperature: float = 1.0

    targets: ClassVar[Targets] = "one"

    def __post_init__(self) -> None:
        if len(self.index) != len(self.classes) or len(self.classes) < 2:
            raise DataError("the model's classes are damaged", expected="two or more, each once")
        if not 0 < self.temperature < np.inf:
            raise DataError("the model's classes are damaged", expected="a temperature above 0")

    @property
    def n_y(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Class -> index."""
        return {name: number for number, name in enumerate(self.classes)}

    def head(self, config: Config) -> Classes:
        """Return the description of the output layer; see `Output`."""
        return Classes(self.n_y, output_layer(config.model.softmax), config.model.pooling or "last")

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.int64]:
        """Encode y as the index of its class, an array with no dimensions.

        Raises DataError for a class that is not in the training set.
        """
        number = self.index.get(y) if isinstance(y, str) else None
        if number is None:
            raise DataError(
                f"unknown class {y!r:.80}",
                file=place.file if place else None,
                line=place.line if place else None,
                expected=", ".join(self.classes[:12]) + (" ..." if self.n_y > 12 else ""),
                hint=suggest(str(y), self.classes),
            )
        return np.array(number, dtype=np.int64)

    def calibrate(self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]) -> Label:
        """Return this output with the temperature fitted on the validation set."""
        stacked = np.concatenate(answers).astype(np.float64)  # [N, n_y]
        return replace(self, temperature=classification.fit_temperature(stacked, np.array(y)))

    def log_probs(self, answer: Floats) -> NDArray[np.float64]:
        """Return [n_y] calibrated log-probabilities from the network output [1, n_y]."""
        scaled = answer[-1].astype(np.float64) / self.temperature
        scaled -= scaled.max()
        return scaled - np.log(np.exp(scaled).sum())

    def choose(self, log_probs: NDArray[np.float64]) -> int:
        """Return the index of the most probable class.

        For ordered classes return the median class, which minimises the expected absolute error.
        """
        if not self.ordinal:
            return int(log_probs.argmax())
        return int(np.searchsorted(np.cumsum(np.exp(log_probs)), 0.5))

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """Return the class. The record has the `top` highest probabilities."""
        log_probs = self.log_probs(answer)
        order = np.argsort(-log_probs, kind="stable")[:top].tolist()
        label = self.classes[min(self.choose(log_probs), self.n_y - 1)]
        record = {
            "label": label,
            "probability": float(np.exp(log_probs[self.index[label]])),
            "probabilities": {self.classes[i]: float(np.exp(log_probs[i])) for i in order},
        }
        return Answer(label, record, {"prediction": label, "probability": record["probability"]})

    def blank(self) -> Answer:
        """Return the answer to a blank line."""
        record = {"label": None, "probability": None, "probabilities": {}}
        return Answer("", record, {"prediction": None, "probability": None})

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """Return loss (nats), accuracy, macro_f1 and calibration_error.

        Ordered classes also have mae (in classes) and kappa.
        """
        truth = np.array(y, dtype=np.int64)
        log_probs = np.stack([self.log_probs(answer) for answer in answers])  # [N, n_y]
        chosen = np.array([min(self.choose(row), self.n_y - 1) for row in log_probs])
        table = classification.confusion(truth, chosen, self.n_y)
        found = {
            "loss": classification.log_loss(log_probs, truth),
            "accuracy": classification.accuracy(table),
            "macro_f1": classification.macro_f1(table),
            "calibration_error": classification.calibration_error(log_probs, truth),
        }
        if self.ordinal:
            found["mae"] = classification.mean_absolute_error(table)
            found["kappa"] = classification.quadratic_kappa(table)
        return found

    def describe(self) -> str:
        """Return a one-line description for messages."""
        names = ", ".join(self.classes[:8]) + (" ..." if self.n_y > 8 else "")
        return f"{self.n_y} {'ordered ' if self.ordinal else ''}classes: {names}"

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `label` reads."""
        return {"classes": list(self.classes), "ordinal": self.ordinal, "temperature": self.temperature}


def details(output: Label, data: Evaluated) -> Details:
    """Return the confusion matrix, the scores of each class, the worst errors, the calibration and intervals."""
    truth = np.array(data.y, dtype=np.int64)
    log_probs = np.stack([output.log_probs(answer) for answer in data.answers])  # [N, n_y]
    chosen = np.array([min(output.choose(row), output.n_y - 1) for row in log_probs])
    table = classification.confusion(truth, chosen, output.n_y)
    every = np.arange(len(truth))
    p, p_true = np.exp(log_probs[every, chosen]), np.exp(log_probs[every, truth])
    wrong = np.flatnonzero(chosen != truth)
    wrong = wrong[np.argsort(log_probs[wrong, truth[wrong]], kind="stable")][:WORST].tolist()
    examples = data.examples(wrong)
    pieces = (
        of_classes.class_scores(output.classes, table),
        of_classes.confusions(output.classes, table),
        of_classes.error_table(
            [
                (
                    examples[i],
                    output.classes[truth[i]],
                    output.classes[chosen[i]],
                    float(p[i]),
                    float(p_true[i]),
                )
                for i in wrong
            ]
        ),
        of_classes.calibration(p, chosen == truth),
    )
    measured = {"accuracy": classification.accuracy, "macro_f1": classification.macro_f1}
    if output.ordinal:
        measured |= {"mae": classification.mean_absolute_error, "kappa": classification.quadratic_kappa}
    return combined(
        *pieces, intervals={name: intervals.of_table(table, one) for name, one in measured.items()}
    )


def measure(
    output: Label, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
) -> tuple[float, Mapping[str, float]]:
    """Return the score and the metrics of a validation: the accuracy; for ordered classes the mean error."""
    found = output.figures(y, answers, weights)
    accuracy = as_number(found["accuracy"])
    if not output.ordinal:
        return accuracy, {"accuracy": accuracy}
    error = as_number(found["mae"])
    return -error, {"accuracy": accuracy, "mae": error}


def label(value: Mapping[str, object]) -> Label:
    """Create a Label from the JSON object of `to_json`. Raises DataError if it is damaged."""
    if set(value) != {"classes", "ordinal", "temperature"}:
        raise DataError("the model's classes are damaged", expected="classes, ordinal, temperature")
    classes, ordinal, temperature = value["classes"], value["ordinal"], value["temperature"]
    if (
        not isinstance(classes, list)
        or not all(isinstance(name, str) for name in classes)
        or type(ordinal) is not bool
        or not (type(temperature) is int or type(temperature) is float)
    ):
        raise DataError("the model's classes are damaged", expected="names, true or false, a number")
    return Label(tuple(classes), ordinal, float(temperature))


def learn_label(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> Label:
    """Learn the classes of examples.

    They are in the order of `--classes`. Without it, numbers come first in numeric order, then names in
    alphabetical order.
    Raises UsageError for a wrong `--classes` and for ratings without a known order.
    Raises DataError for a class that is not in `--classes`, and for fewer than two classes.
    """
    counts: Counter[str] = Counter()
    places: dict[str, Place] = {}
    for example in examples:
        name = str(example.y)
        counts[name] += 1
        places.setdefault(name, example.place)
    if data.classes:
        asked = [name.strip() for name in data.classes.split(",")]
        order = [name if name in counts else whole_number(name) for name in asked]
        if len(order) < 2 or len(set(order)) < len(order) or "" in order:
            raise UsageError(
                f"--classes {data.classes:.80}", expected="two classes or more, each once: bad,good"
            )
        unknown = next((name for name in counts if name not in order), None)
        if unknown is not None:
            raise DataError(
                f"class {unknown!r:.80} is not among --classes",
                file=places[unknown].file,
                line=places[unknown].line,
                expected=", ".join(order),
                hint=suggest(unknown, order),
            )
        return Label(tuple(order), model.ordinal)
    if len(counts) < 2:
        one = next(iter(counts), None)
        what = "no labels" if one is None else f"only one class, {one!r:.80}, in {counts[one]:,} examples"
        raise DataError(
            what, file=next(iter(places.values())).file if places else None, expected="two classes or more"
        )
    if model.ordinal:
        _expect_numbers(places)
    return Label(tuple(sorted(counts, key=_rank)), model.ordinal)


def _expect_numbers(places: Mapping[str, Place]) -> None:
    """Raise an error if ratings are not numbers, because then `--classes` must define their order.

    places: the first place of each class.
    """
    strange = [name for name in places if parse_number(name) is None]
    if len(strange) == len(places):
        raise UsageError("the order of the ratings is not known", hint="--classes WORST,...,BEST")
    if strange:
        place = places[strange[0]]
        raise DataError(
            f"{strange[0]!r:.80} is not a number, but other ratings are",
            file=place.file,
            line=place.line,
            expected="a number",
            hint="--classes WORST,...,BEST",
        )


def _rank(name: str) -> tuple[bool, float, str]:
    """Return the sort key of a class: numbers first, by value, then other names in alphabetical order."""
    value = parse_number(name)
    return value is None, value or 0.0, name
