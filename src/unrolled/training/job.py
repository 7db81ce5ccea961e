"""A training of any task: `TrainingRequest` is the user's request, and `TrainingJob` is what `fit` runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from unrolled.core.config import Config
from unrolled.core.system import process_age
from unrolled.core.types import Array
from unrolled.models.initial_weights import initialise, remember
from unrolled.models.network_spec import NetworkSpec
from unrolled.nn.architectures import Network, build
from unrolled.training.loop import TrainingData

ENCODED_ANEW = "the encoded data in the run folder was damaged; the data is encoded again"


@dataclass(frozen=True)
class Learnt:
    """The parts of a model file beside the weights of the network.

    fields: JSON, such as the vocabulary.  tensors: those of the wide part.  about: lines that are shown to the user.
    """

    fields: Mapping[str, object]
    tensors: Mapping[str, Array] = field(default_factory=dict[str, Array])
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingJob:
    """A task and its data, ready to train.

    config: the configuration, with all options set.
    spec: the network.
    problem: the data for the training loop.
    valid_size: number of tokens (or time steps) of the validation set.
    step_size: number of tokens (or time steps) per training step, padding included.
    about: lines that are shown to the user.
    step: text that describes the size of a batch, such as `32 windows of 64 tokens`.
    unit: unit of the loss in messages.
    learnt: returns the other parts of the model file, from the final weights of the network.
    notes: facts that are stored in the model file.
    settling: number of tokens (or time steps) that `learnt` reads to calibrate the output.
    memory: number of steps over which the first weights keep the state; 0: the usual first weights.
    fixed: tensors of the network that training does not change, by name.
    """

    config: Config
    spec: NetworkSpec
    problem: TrainingData
    valid_size: int
    step_size: float
    about: tuple[str, ...]
    step: str
    unit: str
    learnt: Callable[[Mapping[str, Array]], Learnt]
    notes: Mapping[str, object]
    settling: int = 0
    fixed: Mapping[str, Array] = field(default_factory=dict[str, Array])
    memory: int = 0

    def untrained(self) -> Network:
        """Return the network before training. Its weights depend only on the seed and the fields of the job."""
        seed = self.config.training.seed
        weights = initialise(self.spec, seed)
        if self.memory:
            weights = remember(self.spec, weights, self.memory, seed)
        return build(self.spec, {**weights, **self.fixed})


@dataclass(frozen=True)
class TrainingRequest:
    """The user's request to `train`.

    config: the configuration; options may be unset (None).
    data: fingerprints of the training and validation files, which must be the same in a resumed run.
    prepare: reads the data, writes the encoded data into a folder, and returns the job.
    out: path of the model.
    began: time.monotonic() when the budget of minutes began. None: the budget began when the process started;
        a command uses this.
    reading: time.monotonic() when the program began to read the data; None: the same as `began`.
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
        """Return the time when the budget began, as a value of time.monotonic()."""
        return time.monotonic() - process_age() if self.began is None else self.began
