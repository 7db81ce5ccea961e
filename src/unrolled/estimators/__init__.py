"""Estimators that follow the conventions of scikit-learn, and `load`, which opens a model file."""

from unrolled.estimators.classifiers import Classifier, Recognizer
from unrolled.estimators.composer import Composer
from unrolled.estimators.language_model import LanguageModel
from unrolled.estimators.loading import load
from unrolled.estimators.regressor import Regressor
from unrolled.estimators.tagger import Tagger
from unrolled.estimators.writers import Transcriber, Translator

__all__ = [
    "Classifier",
    "Composer",
    "LanguageModel",
    "Recognizer",
    "Regressor",
    "Tagger",
    "Transcriber",
    "Translator",
    "load",
]
