"""unrolled: recurrent sequence models, from a person's own files to a small model that streams on any CPU.

`unrolled.load(path)` opens a model; `unrolled.LanguageModel` trains one; `unrolled.nn.layers` holds the layers.
Importing this package imports neither NumPy nor torch: the parts come when they are first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unrolled.core.version import __version__

if TYPE_CHECKING:
    from unrolled.core.system import tune
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
    from unrolled.nn import layers as nn

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
    "Classifier": "estimators.supervised",
    "Composer": "estimators.supervised",
    "LanguageModel": "estimators.language_model",
    "Recognizer": "estimators.supervised",
    "Regressor": "estimators.supervised",
    "Tagger": "estimators.supervised",
    "Transcriber": "estimators.supervised",
    "Translator": "estimators.supervised",
    "load": "estimators.language_model",
    "tune": "core.system",
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
