"""Rules for default sizes that several input and output kinds share."""

from __future__ import annotations

from unrolled.core.config import Config


def epochs_for(config: Config, steps: int, sequences: int, batch_size: int) -> int:
    """Return how many epochs give about `steps` training steps, from 8 to 100.

    With a budget of minutes return four times as many, because the minutes also limit the training.
    """
    epochs = max(8, min(100, round(steps / max(1, sequences // batch_size))))
    return epochs if config.training.minutes is None else 4 * epochs


def long_sequence_batch(sequences: int) -> int:
    """Return the batch size for long sequences."""
    return int(min(8, max(2, sequences // 25)))


def keep_sizes(config: Config, sequences: int, steps: int) -> Config:
    """Return the configuration unchanged: for kinds without defaults of their own."""
    return config
