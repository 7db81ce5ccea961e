"""Default sizes: how big a model is and how long it trains, computed from the data and the minutes."""

from __future__ import annotations

from unrolled.core.config import Config, fill
from unrolled.data.text.tokenize import of_characters
from unrolled.tasks.inputs import input_of
from unrolled.tasks.outputs import output_of
from unrolled.tasks.size_rules import epochs_for

# Loss weight of the first token of a document. If documents are lines, only one token per line teaches the
# model what follows x^<1> = 0, so it gets more weight.
FIRST_TOKEN_WEIGHT = {"line": 8.0}
LEARNING_RATES = {"muon": 1e-2, "adamw": 4e-3, "sgd": 1.0}  # default peak learning rate of each optimizer
DECAY = 1e-2  # default weight decay
CHARACTERS_DECAY = (
    0.1  # default weight decay of character models with Muon: they read a small text many times
)

# Sizes are computed for a nominal CPU with two cores, so the same options give the same network everywhere.
FLOPS = 56e9  # FLOP per second of the whole training, measured on two cores with AVX2
GROWTH = 0.28  # the number of units is proportional to minutes ** GROWTH


def resolve(config: Config, tokens: int, types: int) -> Config:
    """Fill every blank option of a language model. Returns the new configuration.

    tokens: number of tokens in the training set.  types: size of the vocabulary.
    The size of the network depends on the minutes, and is limited by the amount of data. Dropout depends on
    the number of epochs. docs/log.md lists the measurements from which the constants were chosen.
    """
    if config.training.minutes is None:
        config = fill(config, {"epochs": 5})
    words = not of_characters(config.data.unit)
    model, training = config.model, config.training
    hidden = model.hidden or _hidden(training.minutes, tokens, words)
    embedding = max(16, hidden // 2) if words else min(64, types)
    embedding = embedding if model.embedding is None else model.embedding
    epochs = _epochs(config, tokens, types, hidden, embedding)
    dropout = min(0.3, 0.08 * epochs) if words else min(0.5, max(0.0, 0.14 * (epochs - 2.5)))
    dropout = round(dropout, 2) if training.dropout is None else training.dropout
    return fill(
        config,
        {
            "layers": 1,
            "hidden": hidden,
            "embedding": embedding,
            "tie": words and embedding > 0 and model.softmax == "exact",
            "batch_size": 32,
            "window": 64,
            "first": FIRST_TOKEN_WEIGHT.get(config.data.documents or "file", 1.0),
            "lr": LEARNING_RATES[training.optimizer],
            "weight_decay": DECAY if words or training.optimizer != "muon" else CHARACTERS_DECAY,
            "label_smoothing": 0.0,
            "average": 0.0,
            "dropout": dropout,
            "input_dropout": dropout if words else 0.0,  # a dropped character loses too much information
        },
    )


def resolve_examples(config: Config, sequences: int, steps: int, width: int) -> Config:
    """Fill every blank option for labelled sequences. Returns the new configuration.

    sequences: number of sequences.  steps: their total number of steps.
    width: number of different ids, or number of values per step.
    """
    kind = input_of(config.task)
    config = output_of(config.task).sizes(kind.sizes(config, sequences, steps), sequences, steps)
    model, training = config.model, config.training
    tokens = kind.embeds
    words = tokens and not of_characters(config.data.unit)
    batch_size = training.batch_size or int(min(32, max(4, sequences // 25)))
    # The number of epochs gives enough steps for small data and limits the time for large data. It also limits
    # training with a budget of minutes: more epochs would not help, so training ends early.
    heard = kind.content.sound
    config = fill(config, {"epochs": epochs_for(config, 3_000 if heard else 1_500, sequences, batch_size)})
    hidden = model.hidden or (128 if tokens or heard or steps > 20_000 else 64)
    return fill(
        config,
        {
            "layers": 1,
            "hidden": hidden,
            "front_size": hidden,
            "embedding": min(width, 128 if words else 64) if tokens else 0,
            "tie": False,
            "batch_size": batch_size,
            "window": 512,
            "lr": LEARNING_RATES[training.optimizer] * 0.5,
            "weight_decay": DECAY,
            "label_smoothing": 0.0,
            "average": 0.0,
            "dropout": (0.4 if words else 0.25) if tokens else 0.2,
            "input_dropout": 0.4 if words else 0.0,
        },
    )


def _hidden(minutes: float | None, tokens: int, words: bool) -> int:
    """Return the number of units for this budget.

    It is at most the square root of the number of tokens, and a multiple of 64, or of 8 if it is small.
    """
    most = tokens**0.5
    by_time = (110 if words else 265) * (minutes or 10) ** GROWTH
    units = min(by_time, most)
    step = 64 if units >= 96 else 8
    return max(8, step * round(units / step))


def _epochs(config: Config, tokens: int, types: int, hidden: int, embedding: int) -> float:
    """Return the expected number of epochs.

    With a budget of minutes, it is the number that the nominal CPU reaches, limited by `--epochs`.
    """
    minutes, epochs = config.training.minutes, config.training.epochs
    if minutes is None:
        return float(epochs or 1)
    layers = config.model.layers or 1
    a_token = 24 * hidden * (hidden + embedding + 2 * (layers - 1) * hidden) + 6 * types * (
        embedding or hidden
    )
    by_time = minutes * 60 * FLOPS / a_token / tokens
    return min(by_time, epochs or by_time)
