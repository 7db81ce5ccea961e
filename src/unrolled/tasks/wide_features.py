"""Choose the features of the wide part: those of whole sequences, or those of each step."""

from __future__ import annotations

from unrolled.core.config import Config
from unrolled.tasks.input_kind import WideFeatures
from unrolled.tasks.inputs import input_of
from unrolled.tasks.outputs import output_of


def features_of(task: str) -> WideFeatures | None:
    """Return the function that computes the features of the wide part; None if the task supports no wide part."""
    reads, answers = input_of(task), output_of(task)
    if "wide" not in answers.options:
        return None
    return reads.wide_steps if answers.asks.each else reads.wide


def wide_features(config: Config) -> WideFeatures | None:
    """Return the same; also None if the model has no wide part."""
    if not config.model.wide:
        return None
    window = input_of(config.task).wide_window
    return window(config.data.past) if config.data.horizon and window else features_of(config.task)
