"""Estimators with the conventions of scikit-learn, and `load`."""

from unrolled.estimators.language_model import LanguageModel, load
from unrolled.estimators.supervised import (
    Classifier,
    Composer,
    Recognizer,
    Regressor,
    Tagger,
    Transcriber,
    Translator,
)

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
