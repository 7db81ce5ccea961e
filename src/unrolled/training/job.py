"""A training job of any task: `TrainingRequest` is what the user asked for, `TrainingJob` is what `fit` runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from unrolled.core.config import Config
from unrolled.core.system import process_age
from unrolled.core.types import Array
from unrolled.models.network_spec import NetworkSpec
from unrolled.training.loop import TrainingData

ENCODED_ANEW = "the encoded data in the run folder were damaged: encoded anew"


@dataclass(frozen=True)
class TrainingJob:
    """A task and its data, ready to train.

    config: without blanks.  spec: the network.  problem: what the loop is given.  valid_size, step_size: tokens (or
    steps of time) of the validation part, and of a training step, padding and all.  about: lines for people.  step: a
    training step for people, `32 x 64`.  unit: of the loss, for people.  learnt: what the model file keeps besides
    weights, made of the final weights.  notes: facts for the model file.  settling: tokens (or steps of time) that
    `learnt` reads.
    """

    config: Config
    spec: NetworkSpec
    problem: TrainingData
    valid_size: int
    step_size: float
    about: tuple[str, ...]
    step: str
    unit: str
    learnt: Callable[[Mapping[str, Array]], Mapping[str, object]]
    notes: Mapping[str, object]
    settling: int = 0


@dataclass(frozen=True)
class TrainingRequest:
    """What a person asked of `train`: the configuration (blanks allowed), the data, and where the model goes.

    data: fingerprints of the parts, which a resumed run must find again.  prepare: reads the data into a folder and
    makes the job.  began: when a budget of minutes began, by time.monotonic(); None: with the process, as for a
    command.  reading: when reading the data began, by the same clock; None: when the training is asked for.
    """

    config: Config
    data: Mapping[str, str | None]
    prepare: Callable[[Config, Path], TrainingJob]
    out: Path
    resume: bool = False
    force: bool = False
    began: float | None = None
    reading: float | None = None

    def beginning(self) -> float:
        """When the budget began, by time.monotonic()."""
        return time.monotonic() - process_age() if self.began is None else self.began
