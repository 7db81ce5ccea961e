"""Piano rolls: x^<t> marks which of the 88 keys sounded at the previous step; zeros at first.

If training transposes, every step also contains the transposition.

With `repeats`, x^<t> also contains the mean of the steps that followed earlier occurrences of the last steps in
this piece. Music repeats whole passages, but a state of a few hundred numbers cannot store a passage note by
note. This input is like the cache of language models (Grave et al., arXiv 1612.04426v1). The network learns how
much to rely on it.

The rolls have no note onsets, loudness or voices, as in the published comparisons (Boulanger-Lewandowski et
al., arXiv 1206.6392v1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import Config, DataConfig, fill
from unrolled.core.errors import DataError
from unrolled.core.types import DRUMS, Array, Example, Pair, Place, Tune, Vary
from unrolled.data.features.note_events import quantised
from unrolled.tasks.size_rules import long_sequence_batch

KEYS = 88
LOWEST = 21  # the pitch of the first key, A0
GRID = 4  # steps per quarter note
ALIKE = (1, 2, 4, 8)  # lengths of the matched context in steps; each adds 88 inputs (see `heard_before`)
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class RollInput:
    """The encoder of piano rolls.

    grid: steps per quarter note.
    transpose: the maximum number of semitones by which training transposes a roll.
    repeats: whether x^<t> also contains the keys that followed earlier occurrences of the last steps
    (`heard_before`).
    """

    grid: int
    transpose: int = 0
    repeats: bool = False

    ids = False
    multi_hot = False
    unk_candidates = np.zeros(0, dtype=np.bool_)

    def __post_init__(self) -> None:
        if not 1 <= self.grid <= 480 or not 0 <= self.transpose <= 12:
            raise DataError(
                "the piano roll settings in the model file are damaged", expected="a grid from 1 to 480"
            )

    @property
    def n_keys(self) -> int:
        """Numbers per step that belong to keys: the previous step, and `heard_before` if `repeats` is set."""
        return KEYS * (1 + len(ALIKE) if self.repeats else 1)

    @property
    def n_x(self) -> int:
        """Numbers per step: the keys, and one number for each transposition, "not transposed" included."""
        return self.n_keys + (2 * self.transpose + 1 if self.transpose else 0)

    def steps(self, x: object) -> F32:
        """Return the piano roll [T, 88] of x, a tune or a roll. A value is 1 if the key sounds."""
        return roll_of(x, self.grid)

    def encode(self, x: object, place: Place | None = None) -> F32:
        """Encode x as [T, n_x]. Each step has the keys of the previous step, not transposed.

        Raises DataError if x is not a roll.
        """
        roll = checked(self.steps(x), place)
        found = np.zeros((len(roll), self.n_x), np.float32)
        found[1:, :KEYS] = roll[:-1]
        if self.repeats:
            found[:, KEYS : self.n_keys] = heard_before(roll)
        if self.transpose:
            found[:, self.n_keys + self.transpose] = 1
        return found

    def unknown(self, x: object, encoded: Array) -> int:
        """Return 0, because rolls have no `<UNK>`."""
        return 0

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `roll_input` reads."""
        return {"grid": self.grid, "transpose": self.transpose, "repeats": self.repeats}


def heard_before(roll: F32) -> F32:
    """Return [T, 88 * len(ALIKE)]: which keys followed earlier occurrences of the last steps.

    For each step t and each n in ALIKE, find all earlier positions that come after the same n steps as t. The
    result is the fraction of these positions at which each key sounded, or zeros if there are none.
    """
    numbers = np.unique(roll, axis=0, return_inverse=True)[1].ravel()  # [T] equal numbers for equal steps
    found = np.zeros((len(roll), len(ALIKE), KEYS), np.float32)
    run = np.zeros(len(roll), np.int64)  # [T] how many steps up to each position equal the steps up to t - 1
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
    """Return the piano roll [T, 88] of a tune, without drums: 1 if a key sounds.

    An array is returned unchanged.
    """
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
    """Return the roll. Raises DataError if it is not a roll: [T, 88] with values 0 and 1."""
    if roll.ndim != 2 or roll.shape[1] != KEYS or not np.isin(roll, (0, 1)).all():
        raise DataError(
            f"an array {list(roll.shape)} is not a piano roll",
            file=place.file if place else None,
            line=place.line if place else None,
            expected=f"steps of {KEYS} keys, 0 or 1",
        )
    return roll


def roll_input(value: Mapping[str, object]) -> RollInput:
    """Create a RollInput from the JSON object of `to_json`. Raises DataError if it is damaged."""
    grid, transpose = value.get("grid"), value.get("transpose")
    repeats = value.get("repeats", False)  # old model files do not have this key
    if (
        set(value) - {"repeats"} != {"grid", "transpose"}
        or type(grid) is not int
        or type(transpose) is not int
        or type(repeats) is not bool
    ):
        raise DataError(
            "the piano roll settings in the model file are damaged", expected="grid, transpose, repeats"
        )
    return RollInput(grid, transpose, repeats)


def learn_rolls(examples: Iterable[Example], config: DataConfig) -> tuple[RollInput, str]:
    """Create a RollInput from the configuration; also returns a one-line description.

    Raises DataError if the tunes have no steps.
    """
    learnt = RollInput(config.grid or GRID, config.transpose or 0, bool(config.repeats))
    tunes = steps = keys = 0
    for example in examples:
        roll = checked(learnt.steps(example.x), example.place)
        tunes, steps, keys = tunes + 1, steps + len(roll), keys + int(roll.sum())
    if not steps:
        raise DataError("no examples: the tunes have no steps")
    return learnt, f"{tunes:,} tunes, {steps:,} steps with {keys / steps:.2f} keys each"


def roll_augmenter(given: RollInput, flip: bool, steady: bool) -> Vary:
    """Return the augmentation of rolls, `transposed`. The arguments `flip` and `steady` are not used."""
    return partial(transposed, given)


def transposed(given: RollInput, x: Array, y: Array, chance: np.random.Generator) -> Pair:
    """Transpose one roll, x [T, n_x] and y [T, 88], at random, if no note leaves the keyboard."""
    shift = int(chance.integers(-given.transpose, given.transpose + 1))
    there = np.flatnonzero((x[:, :KEYS] > 0).any(axis=0) | (y > 0).any(axis=0))
    if not (shift and len(there) and 0 <= there[0] + shift <= there[-1] + shift < KEYS):
        return x, y
    moved, keys = np.zeros_like(x), x[:, : given.n_keys].reshape(len(x), -1, KEYS)
    moved[:, : given.n_keys] = np.roll(keys, shift, axis=2).reshape(len(x), -1)
    moved[:, given.n_keys + given.transpose + shift] = 1
    return moved, np.roll(y, shift, axis=1)


def roll_sizes(config: Config, sequences: int, steps: int) -> Config:
    """Fill the defaults for piano rolls.

    With up to 100 epochs the model overfits unless dropout is high. The epochs are limited for any budget of
    minutes.
    """
    epochs = max(4, min(100, round(10_000_000 / max(1, steps))))
    dropout = 0.6 if steps < 50_000 else 0.3
    blanks = {
        "batch_size": long_sequence_batch(sequences),
        "hidden": 384,
        "neighbours": 32,
        "dropout": dropout,
    }
    return fill(config, blanks | {"epochs": epochs})
