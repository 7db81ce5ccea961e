"""Base class of all estimators: arguments, training and saving.

It follows the conventions of scikit-learn but does not require scikit-learn.
"""

from __future__ import annotations

import inspect
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from unrolled.core.atomic_files import temporary_folder
from unrolled.core.config import Config, build, flat_options
from unrolled.core.errors import Interrupted, NonFiniteError, UsageError, need, suggest
from unrolled.core.progress import Silent, console_reporter
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.options import TrainingOptions, checked
from unrolled.models import model_file
from unrolled.models.model_file import ModelFile

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from unrolled.inference.open_model import Model, Predictor
    from unrolled.training.job import TrainingRequest

Made = TypeVar("Made", bound="Estimator")  # the type of `self` in methods that return `self`
HISTORY = {"step": "step", "epoch": "epoch", "train_loss": "train_loss", "loss": "validation_loss"}


@dataclass(kw_only=True, repr=False, eq=False)
class Estimator(TrainingOptions, ABC):
    """An estimator. The constructor only stores its arguments; `fit` checks them and trains.

    After `fit`:
    model_: the opened model.
    history_: a list of dicts, one for each validation, with the keys step, epoch, train_loss, and, if there
    is a validation set, validation_loss and the metrics of the output, such as validation_accuracy.
    """

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return the arguments of the constructor and their values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self: Made, **params: object) -> Made:
        """Change some arguments of the constructor. Raises UsageError for an unknown argument."""
        known = self.get_params()
        for name in params:
            if name not in known:
                what = f"{type(self).__name__} has no parameter '{name}'"
                with arguments_named():
                    raise UsageError(what, hint=suggest(name, known))
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """Return the class name with the arguments that differ from their defaults."""
        parameters = inspect.signature(type(self)).parameters
        changed = (
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if not _same(value, parameters[name].default)
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    @arguments_named()
    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the model file. Raises UsageError if `path` exists and `force` is False."""
        model_file.save(Path(path), self._file, force=force)

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether `fit` was called or the model was loaded."""
        return "model_" in vars(self)

    @property
    def _file(self) -> ModelFile:
        return self._model.file

    @property
    @abstractmethod
    def _model(self) -> Model | Predictor:
        """The opened model. Raises NotFittedError before `fit`."""

    def _require_fitted(self) -> None:
        """Raise NotFittedError if the estimator is not fitted.

        The error is also scikit-learn's NotFittedError if scikit-learn is installed.
        """
        if "model_" not in vars(self):
            from unrolled.estimators.not_fitted import NotFittedError  # here, because it imports scikit-learn

            what = f"this {type(self).__name__} is not fitted yet"
            raise NotFittedError(what, hint=".fit(...) first, or unrolled.load(path)")

    @abstractmethod
    def _keep(self, file: ModelFile, path: Path) -> None:
        """Open the trained model and store it in the estimator."""

    def _options(self) -> dict[str, object]:
        """Return the arguments that are options, in the form that `config.build` takes."""
        return checked(self.get_params())

    def _config(self, task: str, defaults: Mapping[str, object]) -> Config:
        """Return the configuration of a task with these arguments.

        Raises UsageError for an invalid argument.
        """
        if isinstance(self.verbose, str) or self.verbose not in (0, 1, 2):
            raise UsageError(f"verbose={self.verbose!r:.80}", expected="0 or 1")
        return build(task, defaults, self._options())

    def _train(self, make: Callable[[Path, float], TrainingRequest], notes: Mapping[str, object]) -> None:
        """Train in a temporary folder and keep the model.

        make: returns the training request; its arguments are the file to write and the time when the budget
        began.
        notes: facts to store in the model file.
        If Ctrl-C stops the training or the training diverges, the best weights so far are kept, if there are
        any. A training that diverges after it has learnt something ends with a RuntimeWarning.
        """
        with need("train", "torch"):
            from unrolled.training.fit import fit
            from unrolled.training.run_folder import read_metrics
        with temporary_folder() as folder:
            out, run = folder / "model", folder / "model.run"
            # The time budget starts at this call, not at the start of the process.
            request = make(out, time.monotonic())
            try:
                file = fit(request, console_reporter() if self.verbose else Silent())
            except (Interrupted, NonFiniteError) as error:
                if out.exists():
                    self._finish(model_file.load(out), notes, read_metrics(run), out)
                if not isinstance(error, Interrupted):
                    raise
                if error.exit_code == 130:
                    raise KeyboardInterrupt("the estimator keeps the best weights so far") from error
                raise SystemExit(error.exit_code) from error
            if "diverged" in file.notes:
                warnings.warn(
                    f"{file.notes['diverged']}; the estimator keeps the best weights", RuntimeWarning, 4
                )
            self._finish(file, notes, read_metrics(run), out)

    def _finish(
        self, file: ModelFile, notes: Mapping[str, object], metrics: Sequence[Mapping[str, object]], out: Path
    ) -> None:
        """Keep the model, and the history of its losses."""
        self._keep(replace(file, notes={**file.notes, **notes}), out)
        self.history_ = [
            {
                HISTORY.get(name, f"validation_{name}"): value
                for name, value in one.items()
                if name != "seconds"
            }
            for one in metrics
        ]


def _same(value: object, other: object) -> bool:
    """Return whether two arguments have the same type, and are the same object or have the same repr."""
    return type(value) is type(other) and bool(value is other or repr(value) == repr(other))


def arguments_of(kind: type[Estimator], content: Mapping[str, object]) -> dict[str, object]:
    """Return the constructor arguments for an estimator of this kind, from the configuration of a model."""
    names, flat = {one.name for one in fields(kind)}, flat_options(content)
    if flat.get("class_weights"):
        flat["class_weight"] = "root"
    return {name: value for name, value in flat.items() if name in names}


def sklearn_tags(kind: str | None, *, several: bool = False, required: bool = True) -> Tags:
    """Return the tags that scikit-learn requires from an estimator.

    scikit-learn calls this, so it is installed here.
    several: whether y may have several numbers per sequence.  required: whether `fit` requires y.
    """
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=required, multi_output=several),
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(two_d_array=True, three_d_array=True, string=True, sparse=False),
    )
