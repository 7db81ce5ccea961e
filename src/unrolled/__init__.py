"""unrolled: recurrent sequence models, from a person's own files to a small model that streams on any CPU.

`unrolled.load(path)` opens a model; `unrolled.LanguageModel` trains one; `unrolled.nn` holds the layers.
Importing this package imports neither NumPy nor torch: the parts come when they are first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import nn
    from .estimators import LanguageModel, load
    from .learners import Classifier, Composer, Recognizer, Regressor, Tagger, Transcriber, Translator
    from .machine import tune

__all__ = [
    "Classifier",
    "Composer",
    "LanguageModel",
    "Recognizer",
    "Regressor",
    "Tagger",
    "Transcriber",
    "Translator",
    "__version__",
    "load",
    "nn",
    "tune",
]

_HOMES = {
    "Classifier": "learners",
    "Composer": "learners",
    "LanguageModel": "estimators",
    "Recognizer": "learners",
    "Regressor": "learners",
    "Tagger": "learners",
    "Transcriber": "learners",
    "Translator": "learners",
    "load": "estimators",
    "tune": "machine",
    "nn": None,
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unrolled' has no attribute '{name}'")
    home = _HOMES[name]
    return (
        import_module(".nn", __name__) if home is None else getattr(import_module(f".{home}", __name__), name)
    )


def __dir__() -> list[str]:
    return __all__
