"""Frozen records that the packages exchange, and the names of their axes.

The names of axes are the same everywhere: `batch` sequences, `T_x` (or `T_y`) steps, `n_x` inputs, `n_a`
units, `n_y` outputs. Public arrays are batch-first. The lecture's symbols are written in ASCII: x_t, a_t,
c_t, c_tilde, gamma_u, W_a, y_hat_t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError

Array = NDArray[Any]  # numbers of any type
Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
# The state of a network, per layer and direction: (a,) for rnn, (c,) for the GRUs, (a, c) for the LSTM. Each
# is [batch, n_a]: a NumPy array, or a tensor in an engine that uses torch.
State = tuple[Any, ...]

ZERO_INPUT_ID = -1  # the id of the vector of zeros, the lecture's x^<1> = 0
IGNORE_INDEX = -1  # a target that the loss and all metrics ignore


def delayed(y: Integers) -> Integers:
    """Return the inputs [T + 1] of a model that reads its own targets.

    x^<1> is the vector of zeros, then x^<t> = y^<t-1>.
    """
    return np.append(np.int64(ZERO_INPUT_ID), y)


# The targets of a sequence: one y, one y per step, or a sequence y with its own length T_y.
Targets = Literal["one", "each", "own"]
Pair = tuple[Array, Array]  # encoded x and y
Vary = Callable[[Array, Array, np.random.Generator], Pair]  # augmentation of a pair in training


@dataclass(frozen=True)
class Place:
    """A position in a user's file, for messages: `file` and a 1-based `line`."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Document:
    """A document, or a piece of it.

    The state of a model is carried within a document and starts from zeros at each.
    A long document consists of several pieces in order, so that it is never in memory as a whole.
    first: whether this is the first piece. last: whether this is the last piece.
    """

    text: str
    place: Place
    first: bool = True
    last: bool = True


@dataclass(frozen=True)
class Note:
    """A note of a tune: from tick `start` to `end`, MIDI `pitch` (60 is middle C), `velocity` 1 to 127."""

    start: int
    end: int
    pitch: int
    velocity: int
    voice: int


@dataclass(frozen=True)
class Tune:
    """A tune: notes in voices, with tempo, meter and instruments.

    beat: ticks per quarter note.
    programs: the MIDI program of each voice, 0 to 127. In the voice DRUMS, the pitches are instruments.
    tempos: (tick, quarter notes per minute).
    meters: (tick, 3, 4) for 3/4.
    genre: the genre from the data; None: unknown.
    remarks: what was changed when the tune was read.
    """

    notes: tuple[Note, ...]
    beat: int
    programs: tuple[int, ...] = (0,)
    tempos: tuple[tuple[int, float], ...] = ()
    meters: tuple[tuple[int, int, int], ...] = ()
    genre: str | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of notes."""
        return len(self.notes)


DRUMS = 15  # the voice of the drum set; the melodic voices are 0 to 14, because MIDI has 16 channels


@dataclass(frozen=True)
class Example:
    """One sequence with its target, as a reader returns it.

    x: a text, the tokens of a sentence, numbers [T_x, n_x], a tune, or the path of a media file.
    y: a class, a text, one tag per token, real numbers, numbers per step [T_x, n_y], or the tune itself;
        None: unknown.
    place: where the example begins.
    id: the user's name of the example, from the id column.
    source: the file from which x was loaded.
    weight: the weight in training, relative to other examples; above 0.
    times: [T_x] datetime64[us] the time stamps of the steps; None: unknown.
    row: column name -> value of the example's row in the table, if it was requested.
    fault: the error if x cannot be read; then x is None.
    series: if the example is a window of a series, the index of that series; else None.
    """

    x: object
    y: object
    place: Place
    id: str | None = None
    source: Path | None = None
    weight: float = 1.0
    times: Array | None = None
    row: Mapping[str, object] | None = None
    fault: DataError | None = None
    series: int | None = None


@dataclass(frozen=True)
class Encoded:
    """Some encoded documents of one file.

    ids: [n] tokens; each document ends with `<EOS>`.
    ends: indices into ids, one past each `<EOS>`.
    lines: index of the first token of each source line that has tokens, in increasing order.
    numbers: the 1-based line numbers of these lines.
    characters: number of characters of these documents before each of these lines.
    n_characters: number of all characters: code points after lower-casing, and one for each `<EOS>`.
    """

    ids: NDArray[np.int32]
    ends: NDArray[np.int64]
    file: Path
    lines: NDArray[np.int64]
    numbers: NDArray[np.int32]
    characters: NDArray[np.int64]
    n_characters: int


@dataclass(frozen=True)
class Batch:
    """The data of one training step.

    x: [batch, T_x] ids (-1 is the vector of zeros, the lecture's x^<1> = 0) or [batch, T_x, n_x] numbers.
    y: the targets in the form of the output kind; for `next` [batch, T_x] ids, with -1 for padding.
    lengths: [batch] true lengths.
    carry: [batch] True: the row continues from its previous state; False: its state starts from zeros.
    places: [batch] index of the row's first token or of its sequence in the data set, for messages.
    weights: [batch] the factor of each row's loss; its mean over the training set is 1. None: all are 1.
    """

    x: Array
    y: Array
    lengths: Integers
    carry: NDArray[np.bool_]
    places: Integers
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Timeline:
    """The times of the steps of a recording or a clip.

    seconds: time from one step to the next; 0: unknown.
    length: length of the whole recording or clip in seconds.
    loudness: [T] loudness of a recording in dB, one value every 10 ms; None: no sound.
    """

    seconds: float
    length: float = 0.0
    loudness: Array | None = None


@dataclass(frozen=True)
class Answer:
    """The answer of a model to one item.

    text: for people. record: for JSON lines, with full precision. cells: for a table; if empty, the table has
        `text`.
    """

    text: str
    record: Mapping[str, object]
    cells: Mapping[str, object] = field(default_factory=dict[str, object])
