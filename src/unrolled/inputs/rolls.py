"""Piano rolls: x^<t> says which of the 88 keys of a piano sounded at the step before; zeros at first. Where training
transposes, it also says how far, at every step: else the key that the rolls are in would be lost.

Without beginnings of notes, loudness or voices: the form of the published comparisons (Boulanger-Lewandowski et al.,
arXiv 1206.6392v1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import DataConfig
from ..errors import DataError
from ..events import quantised
from ..types import DRUMS, Example, Pair, Place, Tune, Vary

KEYS = 88
LOWEST = 21  # the pitch of the first key, A0
GRID = 4  # steps of a quarter note
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class RollInput:
    """How fine the steps are. transpose: by how many semitones at most training moves a roll."""

    grid: int
    transpose: int = 0

    ids = False
    multi_hot = False
    rare = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        if not 1 <= self.grid <= 480 or not 0 <= self.transpose <= 12:
            raise DataError("how the model reads piano rolls is damaged", expected="a grid from 1 to 480")

    @property
    def n_x(self) -> int:
        """The keys, and one number for each way to be transposed, none at all included."""
        return KEYS + (2 * self.transpose + 1 if self.transpose else 0)

    def steps(self, x: Any) -> F32:
        """[T, 88] 1 where a key sounds: of a tune, or a roll as it is."""
        return roll_of(x, self.grid)

    def encode(self, x: Any, place: Place | None = None) -> F32:
        """[T, n_x] the step before each, not transposed. Raises DataError for what is no roll."""
        roll = checked(self.steps(x), place)
        found = np.zeros((len(roll), self.n_x), np.float32)
        found[1:, :KEYS] = roll[:-1]
        if self.transpose:
            found[:, KEYS + self.transpose] = 1
        return found

    def unknown(self, x: Any) -> int:
        """Rolls know no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, Any]:
        """What `roll_input` reads."""
        return {"grid": self.grid, "transpose": self.transpose}


def roll_of(x: Any, grid: int) -> F32:
    """[T, 88] which keys sound at each step of a tune, drums left out; an array stays as it is."""
    match x:
        case Tune():
            notes = [note for note in quantised(x, grid)[0].notes if note.voice != DRUMS]
            roll = np.zeros((max([0, *(note.end for note in notes)]), KEYS), np.float32)
            for note in notes:
                if 0 <= note.pitch - LOWEST < KEYS:
                    roll[note.start : note.end, note.pitch - LOWEST] = 1
            return roll
        case _:
            return np.asarray(x, dtype=np.float32)


def checked(roll: F32, place: Place | None = None) -> F32:
    """The roll; raises DataError where it is none."""
    if roll.ndim != 2 or roll.shape[1] != KEYS or not np.isin(roll, (0, 1)).all():
        raise DataError(
            f"an array {list(roll.shape)} is no piano roll",
            file=place.file if place else None,
            line=place.line if place else None,
            expected=f"steps of {KEYS} keys, 0 or 1",
        )
    return roll


def roll_input(value: Mapping[str, Any]) -> RollInput:
    """What `to_json` gave; raises DataError where it is damaged."""
    if set(value) != {"grid", "transpose"} or not all(type(number) is int for number in value.values()):
        raise DataError("how the model reads piano rolls is damaged", expected="grid, transpose")
    return RollInput(value["grid"], value["transpose"])


def learn_rolls(examples: Iterable[Example], config: DataConfig) -> tuple[RollInput, str]:
    """How many there are. Raises DataError where there are none."""
    learnt = RollInput(config.grid or GRID, config.transpose or 0)
    tunes = steps = keys = 0
    for example in examples:
        roll = checked(learnt.steps(example.x), example.place)
        tunes, steps, keys = tunes + 1, steps + len(roll), keys + int(roll.sum())
    if not steps:
        raise DataError("no examples: not one step of a tune")
    return learnt, f"{tunes:,} tunes, {steps:,} steps with {keys / steps:.2f} keys each"


def vary_rolls(given: RollInput, flip: bool, steady: bool) -> Vary:
    """What training makes of a roll: `transposed`, whether or not there is a y at every step."""
    return partial(transposed, given)


def transposed(given: RollInput, x: NDArray[Any], y: NDArray[Any], chance: np.random.Generator) -> Pair:
    """One roll, x [T, n_x] and y [T, 88], transposed where no note leaves the piano by it."""
    shift = int(chance.integers(-given.transpose, given.transpose + 1))
    there = np.flatnonzero((x[:, :KEYS] > 0).any(axis=0) | (y > 0).any(axis=0))
    if not (shift and len(there) and 0 <= there[0] + shift <= there[-1] + shift < KEYS):
        return x, y
    moved = np.zeros_like(x)
    moved[:, :KEYS] = np.roll(x[:, :KEYS], shift, axis=1)
    moved[:, KEYS + given.transpose + shift] = 1
    return moved, np.roll(y, shift, axis=1)
