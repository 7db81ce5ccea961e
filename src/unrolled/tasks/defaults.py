"""What blanks of a configuration are filled with where an input or an output has rules of its own.

Each takes the configuration, how many sequences there are, and how many steps they have in all; what it leaves blank
is filled as for all labelled sequences (`tasks.resolve_examples`).
"""

from __future__ import annotations

from collections.abc import Callable

from unrolled.core.config import Config, fill


def passes(config: Config, steps: int, sequences: int, batch_size: int) -> int:
    """How many epochs of `sequences` make about so many steps; four times as many where minutes bound them too."""
    epochs = max(8, min(100, round(steps / max(1, sequences // batch_size))))
    return epochs if config.training.minutes is None else 4 * epochs


def _fill_pairs(config: Config, sequences: int, steps: int) -> Config:
    """What differs for a text for each sequence: it takes more steps, and pairs that are few are learnt by heart unless
    targets are smoothed and weights decay."""
    model, words = config.model, (config.data.source_unit or config.data.unit) != "char"
    batch_size = config.training.batch_size or int(min(64, max(4, sequences // 25)))
    hidden = model.hidden or (256 if steps > 100_000 else 128)
    blanks = {
        "batch_size": batch_size,
        "epochs": passes(config, 6_000, sequences, batch_size),
        "hidden": hidden,
        "tie": bool(config.data.shared) and model.softmax == "exact" and model.embedding in (None, hidden),
        "weight_decay": 0.1,
        "label_smoothing": 0.1 if model.softmax == "exact" else 0.0,
        "dropout": 0.3 if words else 0.1,
        "input_dropout": 0.2 if words else 0.0,
    }
    config = fill(config, blanks)
    return fill(config, {"embedding": hidden}) if config.data.shared and config.model.tie else config


def _fill_tunes(config: Config, sequences: int, steps: int) -> Config:
    """What differs for tunes: their sequences are long, so that few stand in a batch."""
    hidden = config.model.hidden or (256 if steps > 200_000 else 128)
    epochs = max(4, min(60, round(8_000_000 / max(1, steps))))
    blanks = {"batch_size": _few(sequences), "hidden": hidden, "embedding": min(128, hidden), "dropout": 0.2}
    return fill(config, blanks | ({"epochs": epochs} if config.training.minutes is None else {}))


def _fill_rolls(config: Config, sequences: int, steps: int) -> Config:
    """What differs for piano rolls: what is read a hundred times is learnt by heart unless much is dropped, and no
    budget is so long that it should be read more often."""
    epochs = max(4, min(100, round(10_000_000 / max(1, steps))))
    dropout = 0.6 if steps < 50_000 else 0.3
    blanks = {"batch_size": _few(sequences), "hidden": 384, "neighbours": 32, "dropout": dropout}
    return fill(config, blanks | {"epochs": epochs})


def _few(sequences: int) -> int:
    """How many long sequences stand in a batch."""
    return int(min(8, max(2, sequences // 25)))


# By the name of the input or the output.
FILLERS: dict[str, Callable[[Config, int, int], Config]] = {
    "notes": _fill_tunes,
    "rolls": _fill_rolls,
    "sequence": _fill_pairs,
}
