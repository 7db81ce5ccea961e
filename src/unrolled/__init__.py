"""unrolled: train recurrent sequence models on your own files; trained models are small and run on any CPU.

- `unrolled.load(path)` opens a model.
- The estimators, such as `unrolled.LanguageModel`, train a model.
- `unrolled.nn.layers` contains the layers.

`import unrolled` imports neither NumPy nor torch: each part is imported when it is first used.
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

# The module that defines each public name. It is imported when the name is first used.
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
