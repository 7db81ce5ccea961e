"""Piano rolls: x^<t> says which of the 88 keys sounded at the previous step; zeros at first. If training transposes,
every step also says how far.

With repeats x^<t> also says what followed where the steps before t were heard before in this piece: music returns to
whole passages, and no state of a few hundred numbers holds one note for note. That is a cache as of language models
(Grave et al., arXiv 1612.04426v1), of which the network learns how far to trust it.

Without beginnings of notes, loudness or voices: the form of the published comparisons (Boulanger-Lewandowski et al.,
arXiv 1206.6392v1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import DRUMS, Array, Example, Pair, Place, Tune, Vary
from unrolled.data.features.note_events import quantised

KEYS = 88
LOWEST = 21  # the pitch of the first key, A0
GRID = 4  # steps of a quarter note
ALIKE = (1, 2, 4, 8)  # steps that must have been heard before, for each copy of the keys that followed them
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class RollInput:
    """How fine the steps are. transpose: by how many semitones at most training moves a roll. repeats: whether x^<t>
    has what followed where the steps before it were heard before (`heard_before`)."""

    grid: int
    transpose: int = 0
    repeats: bool = False

    ids = False
    multi_hot = False
    unk_candidates = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        if not 1 <= self.grid <= 480 or not 0 <= self.transpose <= 12:
            raise DataError("how the model reads piano rolls is damaged", expected="a grid from 1 to 480")

    @property
    def n_keys(self) -> int:
        """How many of the numbers of a step are keys: those of the step before, and copies that followed others."""
        return KEYS * (1 + len(ALIKE) if self.repeats else 1)

    @property
    def n_x(self) -> int:
        """The keys, and one number for each way to be transposed, none at all included."""
        return self.n_keys + (2 * self.transpose + 1 if self.transpose else 0)

    def steps(self, x: object) -> F32:
        """[T, 88] 1 where a key sounds: of a tune, or a roll as it is."""
        return roll_of(x, self.grid)

    def encode(self, x: object, place: Place | None = None) -> F32:
        """[T, n_x] the step before each, not transposed. Raises DataError for what is no roll."""
        roll = checked(self.steps(x), place)
        found = np.zeros((len(roll), self.n_x), np.float32)
        found[1:, :KEYS] = roll[:-1]
        if self.repeats:
            found[:, KEYS : self.n_keys] = heard_before(roll)
        if self.transpose:
            found[:, self.n_keys + self.transpose] = 1
        return found

    def unknown(self, x: object, encoded: Array) -> int:
        """Rolls know no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """What `roll_input` reads."""
        return {"grid": self.grid, "transpose": self.transpose, "repeats": self.repeats}


def heard_before(roll: F32) -> F32:
    """[T, 88 * len(ALIKE)] for each step and each number in ALIKE: of the places where that many steps just before it
    were heard before in the roll, the share after which each key sounded; zeros where there are none."""
    numbers = np.unique(roll, axis=0, return_inverse=True)[1].ravel()  # [T] equal where steps are
    found = np.zeros((len(roll), len(ALIKE), KEYS), np.float32)
    run = np.zeros(len(roll), np.int64)  # [T] how many steps that end at each are those that end at t - 1
    for t in range(2, len(roll)):
        run[1:] = run[:-1] + 1
        run[0] = 1
        run[numbers != numbers[t - 1]] = 0
        for copy, least in zip(found[t], ALIKE, strict=True):
            after = np.flatnonzero(run[: t - 1] >= least) + 1
            if not len(after):
                break
            copy[:] = roll[after].mean(axis=0)
    return found.reshape(len(roll), len(ALIKE) * KEYS)


def roll_of(x: object, grid: int) -> F32:
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


def roll_input(value: Mapping[str, object]) -> RollInput:
    """What `to_json` gave; raises DataError where it is damaged."""
    grid, transpose = value.get("grid"), value.get("transpose")
    repeats = value.get("repeats", False)  # the first model files do not have it
    if (
        set(value) - {"repeats"} != {"grid", "transpose"}
        or type(grid) is not int
        or type(transpose) is not int
        or type(repeats) is not bool
    ):
        raise DataError("how the model reads piano rolls is damaged", expected="grid, transpose, repeats")
    return RollInput(grid, transpose, repeats)


def learn_rolls(examples: Iterable[Example], config: DataConfig) -> tuple[RollInput, str]:
    """How many there are. Raises DataError where there are none."""
    learnt = RollInput(config.grid or GRID, config.transpose or 0, bool(config.repeats))
    tunes = steps = keys = 0
    for example in examples:
        roll = checked(learnt.steps(example.x), example.place)
        tunes, steps, keys = tunes + 1, steps + len(roll), keys + int(roll.sum())
    if not steps:
        raise DataError("no examples: not one step of a tune")
    return learnt, f"{tunes:,} tunes, {steps:,} steps with {keys / steps:.2f} keys each"


def roll_augmenter(given: RollInput, flip: bool, steady: bool) -> Vary:
    """What training makes of a roll: `transposed`, whether or not there is a y at every step."""
    return partial(transposed, given)


def transposed(given: RollInput, x: Array, y: Array, chance: np.random.Generator) -> Pair:
    """One roll, x [T, n_x] and y [T, 88], transposed where no note leaves the piano by it."""
    shift = int(chance.integers(-given.transpose, given.transpose + 1))
    there = np.flatnonzero((x[:, :KEYS] > 0).any(axis=0) | (y > 0).any(axis=0))
    if not (shift and len(there) and 0 <= there[0] + shift <= there[-1] + shift < KEYS):
        return x, y
    moved, keys = np.zeros_like(x), x[:, : given.n_keys].reshape(len(x), -1, KEYS)
    moved[:, : given.n_keys] = np.roll(keys, shift, axis=2).reshape(len(x), -1)
    moved[:, given.n_keys + given.transpose + shift] = 1
    return moved, np.roll(y, shift, axis=1)
