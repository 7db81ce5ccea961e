"""The output `next` of piano rolls: the probability of each of the 88 keys at the next step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, ModelConfig
from unrolled.core.types import Answer, Array, Example, Floats, Place, Targets
from unrolled.models.network_spec import Bits, refuse_adaptive
from unrolled.tasks.inputs.rolls import KEYS, RollInput, checked, learn_rolls, roll_input

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class NextRolls:
    """The same rolls as those of the input."""

    rolls: RollInput

    n_y = KEYS
    targets: ClassVar[Targets] = "each"

    def head(self, config: Config) -> Bits:
        """The output layer; see `Output`."""
        refuse_adaptive(config.model.softmax)
        return Bits(self.n_y, config.model.neighbours or 0)

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.float32]:
        """[T, 88] the keys of each step."""
        return checked(self.rolls.steps(y), place)

    def calibrate(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> NextRolls:
        """Nothing is left to be told."""
        return self

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """How surprising each step was, in nats. Text, tab-separated: log-probability, nats a step, the most surprising
        step (from 1) and its nats."""
        nats = surprise(np.asarray(steps), answer)
        total, at = float(nats.sum()), int(nats.argmax())
        record = {
            "log_probability": -total,
            "nats_per_step": total / len(nats),
            "step": at + 1,
            "surprise": nats.tolist(),
        }
        return Answer(f"{-total:.4f}\t{total / len(nats):.4f}\t{at + 1}\t{nats[at]:.2f}", record)

    def blank(self) -> Answer:
        """The answer to a tune of no steps."""
        return Answer(
            "-\t-\t-\t-", {"log_probability": None, "nats_per_step": None, "step": None, "surprise": []}
        )

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """loss: nats a step over all steps; by_piece: the mean over pieces of each one's own; both without first steps,
        which some leave out; frame_accuracy: keys told and true, of those told or true (Bay et al. 2009, ISMIR)."""
        nats = [surprise(one, told) for one, told in zip(y, answers, strict=True)]
        later = [one[1:] for one in nats if len(one) > 1]
        true, told = np.concatenate(y) > 0, np.concatenate(answers) > 0
        return {
            "loss": float(np.concatenate(nats).mean()),
            "by_piece": float(np.mean([one.mean() for one in nats if len(one)])),
            "without_first": float(np.concatenate(later).mean()) if later else None,
            "by_piece_without_first": float(np.mean([one.mean() for one in later])) if later else None,
            "frame_accuracy": float((true & told).sum() / max(1, (true | told).sum())),
        }

    def describe(self) -> str:
        """For people."""
        moved = f", moved by up to {self.rolls.transpose} semitones" if self.rolls.transpose else ""
        return f"which of {KEYS} keys sound next, {self.rolls.grid} steps a quarter note{moved}"

    def to_json(self) -> dict[str, object]:
        """What `next_rolls` reads."""
        return self.rolls.to_json()


def surprise(y: Array, log_odds: Floats) -> F64:
    """[T] -log p of the keys of each step, the sum over keys: y and log-odds [T, 88]."""
    z = log_odds.astype(np.float64)
    return (np.logaddexp(0, z) - y * z).sum(axis=1)


def next_rolls(value: Mapping[str, object]) -> NextRolls:
    """What `to_json` gave; raises DataError where it is damaged."""
    return NextRolls(roll_input(value))


def learn_next_rolls(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> NextRolls:
    """The grid. Raises DataError where there are no tunes."""
    return NextRolls(learn_rolls(examples, data)[0])
