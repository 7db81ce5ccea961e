"""`load`: open any model file as a fitted estimator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unrolled.core.errors import UsageError
from unrolled.estimators.base import arguments_of
from unrolled.estimators.classifiers import Classifier, Recognizer
from unrolled.estimators.composer import Composer
from unrolled.estimators.errors import arguments_named
from unrolled.estimators.language_model import LanguageModel
from unrolled.estimators.regressor import Regressor
from unrolled.estimators.supervised import Supervised
from unrolled.estimators.tagger import Tagger
from unrolled.estimators.writers import Transcriber, Translator
from unrolled.inference.open_model import language_model_from_file, trained_from_file
from unrolled.models import model_file
from unrolled.tasks.presets import find

# Key: "INPUT:OUTPUT" kinds, or only the output kind. The longer key is looked up first.
ESTIMATORS: dict[str, type[Supervised]] = {
    "notes:next": Composer,
    "frames:label": Recognizer,
    "label": Classifier,
    "number": Regressor,
    "sequence": Translator,
    "tags": Tagger,
    "ctc": Transcriber,
}


@arguments_named()
def load(path: str | Path, engine: str = "numpy") -> LanguageModel | Supervised:
    """Open a model file as a fitted estimator. engine: "numpy", "int8" or "torch".

    Raises UsageError if the file or the engine does not exist or the task has no estimator.
    Raises DataError if the file is damaged.
    """
    path = Path(path)
    file = model_file.load(path)
    if "input" not in file.learnt:
        model = language_model_from_file(file, path, engine)
        estimator = replace(LanguageModel(), **arguments_of(LanguageModel, file.config))
        estimator.model_ = model
        return estimator
    trained = trained_from_file(file, path, engine)
    preset = find(file.task)
    kind = ESTIMATORS.get(preset.kinds) or ESTIMATORS.get(preset.output)
    if kind is None:
        raise UsageError(f"there is no estimator for {file.task}", hint="unrolled predict MODEL FILE")
    learner = replace(kind(), **arguments_of(kind, file.config))
    learner.take(trained)
    return learner
