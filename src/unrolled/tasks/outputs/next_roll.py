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
    """The output of piano rolls. It has the same keys and grid as the input."""

    rolls: RollInput

    n_y = KEYS
    targets: ClassVar[Targets] = "each"

    def head(self, config: Config) -> Bits:
        """Return the description of the output layer; see `Output`."""
        refuse_adaptive(config.model.softmax)
        return Bits(self.n_y, config.model.neighbours or 0)

    def encode(self, y: object, steps: int, place: Place | None = None) -> NDArray[np.float32]:
        """Encode y as [T, 88] the keys of each step."""
        return checked(self.rolls.steps(y), place)

    def calibrate(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> NextRolls:
        """Return this output unchanged. It needs no calibration."""
        return self

    def to_answer(self, answer: Floats, steps: object, top: int, weights: Mapping[str, Array]) -> Answer:
        """Return the surprise of each step in nats.

        The text is tab-separated: log-probability, mean surprise per step in nats, the most surprising step
        (1-based), its surprise in nats.
        """
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
        """Return the answer to a tune without steps."""
        return Answer(
            "-\t-\t-\t-", {"log_probability": None, "nats_per_step": None, "step": None, "surprise": []}
        )

    def figures(
        self, y: Sequence[Array], answers: Sequence[Floats], weights: Mapping[str, Array]
    ) -> Mapping[str, object]:
        """Return the metrics:

        loss: mean nats per step over all steps.
        by_piece: mean over pieces of their nats per step.
        without_first, by_piece_without_first: the same without the first step of each piece, as some
        publications do.
        frame_accuracy: number of keys predicted and true, divided by the number predicted or true (Bay et al.
        2009, ISMIR).
        """
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
        """Return a one-line description for messages."""
        moved = f", transposed by up to {self.rolls.transpose} semitones" if self.rolls.transpose else ""
        return f"which of {KEYS} keys sound next, {self.rolls.grid} steps per quarter note{moved}"

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `next_rolls` reads."""
        return self.rolls.to_json()


def surprise(y: Array, log_odds: Floats) -> F64:
    """Return [T] -log p of the keys of each step, summed over the keys. y and log_odds: [T, 88]."""
    z = log_odds.astype(np.float64)
    return (np.logaddexp(0, z) - y * z).sum(axis=1)


def next_rolls(value: Mapping[str, object]) -> NextRolls:
    """Create a NextRolls from the JSON object of `to_json`. Raises DataError if it is damaged."""
    return NextRolls(roll_input(value))


def learn_next_rolls(examples: Iterable[Example], data: DataConfig, model: ModelConfig) -> NextRolls:
    """Create a NextRolls from the configuration. Raises DataError if the tunes have no steps."""
    return NextRolls(learn_rolls(examples, data)[0])
