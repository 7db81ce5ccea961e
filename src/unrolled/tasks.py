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

DOCUMENTS = {"char": "file", "word": "line", "white": "line"}  # the default for each unit
RATES = {"muon": 1e-2, "adamw": 4e-3, "sgd": 1.0}  # highest learning rate, where none is asked for

# What sizes follow from: a nominal CPU of two cores, so that the same request gives the same network anywhere.
FLOPS = 56e9  # a second, of training as a whole, measured on two cores with AVX2
GROWTH = 0.28  # units grow with the minutes to this power


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

    The size follows the budget: what a minute can train, and no more than the data can feed. Dropout follows how
    often the text is read. The figures come from the measurements written down in docs/log.md.
    """
    if config.training.minutes is None:
        config = fill(config, {"epochs": 5})
    words = config.data.unit != "char"
    model, training = config.model, config.training
    hidden = model.hidden or _hidden(training.minutes, tokens, words)
    embedding = max(16, hidden // 2) if words else min(64, types)
    embedding = embedding if model.embedding is None else model.embedding
    epochs = _epochs(config, tokens, types, hidden, embedding)
    dropout = round(min(0.5, max(0.0, 0.1 * (epochs - 2.5))), 2)
    dropout = dropout if training.dropout is None else training.dropout
    return fill(
        config,
        {
            "layers": 1,
            "hidden": hidden,
            "embedding": embedding,
            "tie": words and embedding > 0 and model.softmax == "exact",
            "batch_size": 32,
            "window": 64,
            "lr": RATES[training.optimizer],
            "average": 0.0,
            "dropout": dropout,
            "input_dropout": dropout if words else 0.0,  # few characters, each of which counts
        },
    )


def _hidden(minutes: float | None, tokens: int, words: bool) -> int:
    """Units: by the minutes, at most the square root of the number of tokens, a multiple of 64 (or of 8 below)."""
    most = tokens**0.5
    by_time = (110 if words else 265) * (minutes or 10) ** GROWTH
    units = min(by_time, most)
    step = 64 if units >= 96 else 8
    return max(8, step * round(units / step))


def _epochs(config: Config, tokens: int, types: int, hidden: int, embedding: int) -> float:
    """How often the text will be read, on the nominal CPU where minutes are given."""
    minutes, epochs = config.training.minutes, config.training.epochs
    if minutes is None:
        return float(epochs or 1)
    layers = config.model.layers or 1
    a_token = 24 * hidden * (hidden + embedding + 2 * (layers - 1) * hidden) + 6 * types * (
        embedding or hidden
    )
    by_time = minutes * 60 * FLOPS / a_token / tokens
    return min(by_time, epochs or by_time)
