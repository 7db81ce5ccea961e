"""Estimators of labelled sequences: Classifier, Regressor, Tagger, Translator, Transcriber, Recognizer, Composer.

X is a list of texts, of token lists, or of arrays [T_x, n_x] (a flat list of numbers is a series of single numbers).
Using one needs NumPy alone; fitting needs torch.
"""

from __future__ import annotations

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.config import build, flat_options
from unrolled.core.errors import UsageError, need, suggest
from unrolled.core.progress import Silent
from unrolled.core.types import Example, Place, Tune
from unrolled.data.media.midi import read_midi
from unrolled.datasets.example_source import from_lists
from unrolled.inference import predictor
from unrolled.inference.composition import Wish, compose
from unrolled.inference.open_model import Trained, trained_from_file
from unrolled.models import model_file
from unrolled.tasks.metrics.edit_distance import character_errors, word_errors
from unrolled.tasks.metrics.regression import score
from unrolled.tasks.presets import find


class _Learner(ABC):
    """What the three share: settings as given, `fit`, `save`. `settings` holds further options by name."""

    kinds: ClassVar[Mapping[str, str]] = {"tokens": "", "numbers": ""}  # the task for each kind of input

    def __init__(
        self,
        *,
        unit: str | None = None,
        lower: bool = False,
        vocab_size: int = 10_000,
        cell: str = "lstm",
        bidirectional: bool | None = None,
        layers: int | None = None,
        hidden: int | None = None,
        embedding: int | None = None,
        pooling: str | None = None,
        epochs: int | None = None,
        minutes: float | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        dropout: float | None = None,
        hold_out: float = 0.1,
        seed: int = 0,
        threads: int | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.unit, self.lower, self.vocab_size = unit, lower, vocab_size
        self.cell, self.bidirectional, self.layers, self.hidden = cell, bidirectional, layers, hidden
        self.embedding, self.pooling, self.epochs, self.minutes = embedding, pooling, epochs, minutes
        self.batch_size, self.lr, self.dropout, self.hold_out = batch_size, lr, dropout, hold_out
        self.seed, self.threads, self.settings = seed, threads, settings

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments and their values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Any:
        """Change some of the constructor's arguments. Raises UsageError for an unknown one."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise UsageError(
                    f"{type(self).__name__} has no parameter '{name}'", hint=suggest(name, known)
                )
            setattr(self, name, value)
        return self

    def fit(self, X: Sequence[Any], y: Sequence[Any]) -> Any:
        """Train on sequences and what is asked of each. Raises MissingExtra without torch, UsageError, DataError."""
        with need("train", "torch"):
            from unrolled.training.fit import fit
            from unrolled.training.supervised_job import request
        if isinstance(X, str) or len(X) != len(y) or not len(X):
            raise UsageError("fit needs a list of sequences and as many y", hint=".fit(X, y)")
        given = {k: v for k, v in self.get_params().items() if k != "settings" and v is not None}
        sequences = [self._sequence(one) for one in X]
        config = build(self._task(sequences), given, self.settings or {})
        data = from_lists(sequences, [self._target(one) for one in y])
        with temporary_folder() as folder:
            out = folder / "model"
            file = fit(request(config, data, None, out, began=time.monotonic()), Silent())
        self._keep(trained_from_file(file, out))
        return self

    def _task(self, sequences: Sequence[Any]) -> str:
        """The task that such sequences ask for."""
        return self.kinds[_kind(sequences)]

    def _sequence(self, one: Any) -> Any:
        """A sequence as an example has it."""
        return _x(one)

    def _keep(self, model: Trained) -> None:
        self.model_ = model

    @abstractmethod
    def _target(self, y: Any) -> Any:
        """What is asked of a sequence, as an example has it."""

    def _records(self, X: Sequence[Any]) -> list[dict[str, Any]]:
        model, every = self._model, 1 << 30
        examples = (Example(self._sequence(one), None, Place(Path("X"), i)) for i, one in enumerate(X, 1))
        return [dict(predictor.say(model, example, every).record) for example in examples]

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the model file. Raises UsageError where `path` exists and `force` is off."""
        model_file.save(Path(path), self._model.file, force=force)

    @property
    def _model(self) -> Trained:
        if "model_" not in vars(self):
            name = type(self).__name__
            raise UsageError(
                f"this {name} is not fitted yet", hint=".fit(X, y) first, or unrolled.load(path)"
            )
        return self.model_

    def __sklearn_is_fitted__(self) -> bool:
        return "model_" in vars(self)

    def _tags(self, kind: str) -> Any:
        """What scikit-learn asks of an estimator; it is there when this is called."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type=kind,
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags() if kind == "classifier" else None,
            regressor_tags=RegressorTags() if kind == "regressor" else None,
            input_tags=InputTags(two_d_array=False, string=True, sparse=False),
        )


class Classifier(_Learner):
    """One class for a sequence."""

    kinds: ClassVar[Mapping[str, str]] = {
        "tokens": "classify",
        "files": "audio:label",
        "numbers": "numbers:label",
    }

    def _target(self, y: Any) -> str:
        return str(y)

    def _keep(self, model: Trained) -> None:
        super()._keep(model)
        self.classes_ = np.array(list(model.output.to_json()["classes"]))

    def fit(self, X: Sequence[Any], y: Sequence[Any]) -> Any:
        """Train; the classes keep the type of `y`'s own."""
        super().fit(X, y)
        own = {str(one): one for one in y}
        self.classes_ = np.array([own.get(name, name) for name in self.classes_.tolist()])
        return self

    def predict(self, X: Sequence[Any]) -> NDArray[Any]:
        """[N] the class of each sequence."""
        names = list(self._model.output.to_json()["classes"])
        return self.classes_[[names.index(record["label"]) for record in self._records(X)]]

    def predict_proba(self, X: Sequence[Any]) -> NDArray[np.float64]:
        """[N, classes] calibrated probabilities, in the order of `classes_`."""
        names = list(self._model.output.to_json()["classes"])
        return np.array([[record["probabilities"][name] for name in names] for record in self._records(X)])

    def score(self, X: Sequence[Any], y: Sequence[Any]) -> float:
        """The share that is right; a loaded model's classes are texts, and `y` may be numbers all the same."""
        pairs = zip(self._records(X), y, strict=True)
        return float(np.mean([record["label"] == self._target(one) for record, one in pairs]))

    def __sklearn_tags__(self) -> Any:
        return self._tags("classifier")


class Recognizer(Classifier):
    """What is done in a clip: X files of videos, folders of pictures, or bytes [T, h, w] or [T, h, w, 3]."""

    kinds: ClassVar[Mapping[str, str]] = {"files": "recognize", "numbers": "recognize"}

    def _sequence(self, one: Any) -> Any:
        return np.asarray(one) if isinstance(one, np.ndarray | list) else Path(one)

    def decisions(self, X: Sequence[Any]) -> list[list[str]]:
        """What a model that reads forward alone says after each picture of each clip. Raises UsageError for others."""
        if self._model.stepwise is None:
            what = "this model answers once, when it has seen all"
            raise UsageError(what, hint="bidirectional=False, pooling='last'")
        return [list(record["steps"]) for record in self._records(X)]


class Regressor(_Learner):
    """One number or more for a sequence."""

    kinds: ClassVar[Mapping[str, str]] = {"tokens": "tokens:number", "numbers": "numbers:number"}

    def _target(self, y: Any) -> tuple[float, ...]:
        return tuple(np.asarray(y, dtype=np.float64).reshape(-1).tolist())

    def predict(self, X: Sequence[Any]) -> NDArray[np.float64]:
        """[N], or [N, n_y] where there are several."""
        return np.array([record["value"] for record in self._records(X)], dtype=np.float64)

    def score(self, X: Sequence[Any], y: Sequence[Any]) -> float:
        """R2, the mean over the numbers."""
        truth = np.asarray(y, dtype=np.float64)
        return score(truth, self.predict(X)).mean_r2

    def __sklearn_tags__(self) -> Any:
        return self._tags("regressor")


class Tagger(_Learner):
    """A tag for every step: X token lists (or texts, split at white space), y as many tags each."""

    kinds: ClassVar[Mapping[str, str]] = {"tokens": "tag", "numbers": "numbers:tags"}

    def _target(self, y: Any) -> tuple[str, ...]:
        return tuple(str(tag) for tag in (y.split() if isinstance(y, str) else y))

    def predict(self, X: Sequence[Any]) -> list[list[str]]:
        """The tags of each sequence."""
        return [list(record["tags"]) for record in self._records(X)]

    def score(self, X: Sequence[Any], y: Sequence[Any]) -> float:
        """Span F1 where tags mark spans, else the share of tags that is right."""
        data = from_lists([_x(one) for one in X], [self._target(one) for one in y])
        metrics = predictor.evaluate(self._model, data)
        return float(metrics.get("span_f1", metrics["accuracy"]))

    def __sklearn_tags__(self) -> Any:
        return self._tags("transformer")


class Transcriber(_Learner):
    """What is said in a sound: X paths of sounds, y texts. `predict` takes samples at the model's rate too."""

    kinds: ClassVar[Mapping[str, str]] = {"files": "transcribe"}

    def _sequence(self, one: Any) -> Any:
        return Path(one) if isinstance(one, str | Path) else np.asarray(one, dtype=np.float64).reshape(-1)

    def _target(self, y: Any) -> str:
        return str(y)

    def predict(self, X: Sequence[Any]) -> list[str]:
        """The text of each sound."""
        return [str(record["text"]) for record in self._records(X)]

    def transcribe(self, X: Sequence[Any]) -> list[dict[str, Any]]:
        """The text of each with its confidence, words with their times, and n-best, as `predict --format jsonl` has."""
        return self._records(X)

    def score(self, X: Sequence[Any], y: Sequence[Any]) -> float:
        """The share of words that is right: 1 less the word error rate."""
        said = self.predict(X)
        return 1.0 - word_errors(zip(map(str, y), said, strict=True)).rate

    def __sklearn_tags__(self) -> Any:
        return self._tags("transformer")


class Translator(_Learner):
    """A text for a text: X and y lists of texts. unit: subword unless asked otherwise; `settings` takes source_unit,
    target_unit, attention and the like."""

    kinds: ClassVar[Mapping[str, str]] = {"tokens": "translate", "numbers": "numbers:sequence"}

    def _target(self, y: Any) -> str:
        return str(y)

    def _records(self, X: Sequence[Any]) -> list[dict[str, Any]]:
        examples = [Example(_x(one), None, Place(Path("X"), i)) for i, one in enumerate(X, 1)]
        parts = (examples[i : i + predictor.ROWS] for i in range(0, len(examples), predictor.ROWS))
        return [dict(found.record) for part in parts for found in predictor.answers(self._model, part)]

    def predict(self, X: Sequence[Any]) -> list[str]:
        """The text for each sequence."""
        return [record["text"] for record in self._records(X)]

    def score(self, X: Sequence[Any], y: Sequence[Any]) -> float:
        """1 less the character error rate: 1 where all is right, below 0 where more is wrong than there is."""
        return 1 - character_errors(zip(map(str, y), self.predict(X), strict=True)).rate

    def __sklearn_tags__(self) -> Any:
        return self._tags("transformer")


class Composer(_Learner):
    """Tunes: X a list of MIDI files (their paths) or of `types.Tune`s, y their genres or nothing."""

    kinds: ClassVar[Mapping[str, str]] = {"notes": "compose"}

    def _task(self, sequences: Sequence[Any]) -> str:
        return self.kinds["notes"]

    def _sequence(self, one: Any) -> Any:
        return read_midi(Path(one)) if isinstance(one, str | Path) else one

    def _target(self, y: Any) -> Any:
        return y

    def fit(self, X: Sequence[Any], y: Sequence[Any] | None = None) -> Any:
        """Train; y: the genre of each, None for none."""
        genres = [None] * len(X) if y is None else list(y)
        if isinstance(X, str) or len(genres) != len(X) or not len(X):
            raise UsageError("fit needs a list of tunes, and as many genres or none", hint=".fit(X, y)")
        tunes = [replace(self._sequence(one), genre=genre) for one, genre in zip(X, genres, strict=True)]
        return super().fit(tunes, tunes)

    def sample(self, wish: Wish | None = None) -> list[Tune]:
        """New tunes; `media.midi.midi_bytes` makes files of them. Raises UsageError for an unknown genre."""
        return list(compose(self._model, wish or Wish()))

    def score_samples(self, X: Sequence[Any]) -> list[dict[str, Any]]:
        """log_probability, perplexity, nats_per_note and the surprise of each note, of each tune."""
        every = 1 << 30
        examples = (Example(self._sequence(one), None, Place(Path("X"), i)) for i, one in enumerate(X, 1))
        return [dict(predictor.say(self._model, example, every).record) for example in examples]

    def score(self, X: Sequence[Any], y: Sequence[Any] | None = None) -> float:
        """Mean log-probability an event over all tunes: higher is better."""
        scored = self.score_samples(X)
        return sum(one["log_probability"] for one in scored) / sum(one["events"] for one in scored)

    def __sklearn_tags__(self) -> Any:
        return self._tags("transformer")


# By the kinds of input and output, or else by the output.
LEARNERS: dict[
    str,
    type[Classifier] | type[Composer] | type[Regressor] | type[Tagger] | type[Transcriber] | type[Translator],
] = {
    "notes:next": Composer,
    "frames:label": Recognizer,
    "label": Classifier,
    "number": Regressor,
    "sequence": Translator,
    "tags": Tagger,
    "ctc": Transcriber,
}


def from_model(model: Trained) -> Classifier | Composer | Regressor | Tagger | Transcriber | Translator:
    """The fitted estimator of an opened model."""
    preset = find(model.file.task)
    kind = LEARNERS.get(preset.kinds) or LEARNERS.get(preset.output)
    if kind is None:
        raise UsageError(f"there is no estimator for {model.file.task}", hint="unrolled predict MODEL FILE")
    learner = kind(**arguments(kind, model.file.config))
    learner._keep(model)  # pyright: ignore[reportPrivateUsage] (of this file)
    return learner


def arguments(kind: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an estimator of this kind that was trained by this configuration; `settings` has the rest."""
    names, flat = inspect.signature(kind).parameters, flat_options(content)
    own = {name: value for name, value in flat.items() if name in names}
    return own | {"settings": {name: value for name, value in flat.items() if name not in names}}


def _kind(X: Sequence[Any]) -> str:
    """Whether a list of sequences is of files, tokens or numbers, by the first that has any."""
    if len(X) and isinstance(X[0], Path):
        return "files"
    first = next((one for one in X if len(one)), "")
    return "tokens" if isinstance(first, str) or isinstance(first[0], str) else "numbers"


def _x(one: Any) -> Any:
    """A sequence as an example has it."""
    if isinstance(one, str | Path):
        return one
    if len(one) and isinstance(one[0], str):
        return tuple(one)
    numbers = np.asarray(one, dtype=np.float64)
    return numbers.reshape(-1, 1) if numbers.ndim == 1 else numbers  # [T] -> [T, 1]
