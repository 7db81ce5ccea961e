"""unrolled: recurrent sequence models, from a person's own files to a small model that streams on any CPU.

`unrolled.load(path)` opens a model; `unrolled.LanguageModel` trains one; `unrolled.nn.layers` holds the layers.
Importing this package imports neither NumPy nor torch: the parts come when they are first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from unrolled.core.version import __version__

if TYPE_CHECKING:
    from unrolled import nn
    from unrolled.core.system import tune
    from unrolled.estimators import (
        Classifier,
        Composer,
        LanguageModel,
        Recognizer,
        Regressor,
        Tagger,
        Transcriber,
        Translator,
        load,
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
    "__version__",
    "load",
    "nn",
    "tune",
]

# Modules that are imported when a name of theirs is first used.
_HOMES = {name: "unrolled.estimators" for name in __all__} | {
    "nn": "unrolled.nn",
    "tune": "unrolled.core.system",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'unrolled' has no attribute '{name}'")
    home = import_module(_HOMES[name])
    return home if name == "nn" else getattr(home, name)


def __dir__() -> list[str]:
    return __all__
