"""Frozen records that the packages exchange, and the names of their axes.

Axes, everywhere: `batch` sequences, `T_x` (or `T_y`) steps, `n_x` inputs, `n_a` units, `n_y` outputs.
Public arrays are batch-first. ASCII for the lecture's symbols: x_t, a_t, c_t, c_tilde, gamma_u, W_a, y_hat_t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unrolled.core.errors import DataError

Array = NDArray[Any]  # numbers of any type; a narrower type says more
Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
# The state of a network: (a,) for rnn, (c,) for the GRUs, (a, c) for the LSTM, per layer and direction; each
# [batch, n_a], a NumPy array or, in an engine that runs on torch, a tensor.
State = tuple[Any, ...]

ZERO_INPUT_ID = -1  # the id of the vector of zeros, the lecture's x^<1> = 0
IGNORE_INDEX = -1  # a target that is ignored by the loss and by every metric


def delayed(y: Integers) -> Integers:
    """[T + 1] the inputs of a model that reads what it predicts: x^<1> is the vector of zeros, then x^<t> = y^<t-1>."""
    return np.append(np.int64(ZERO_INPUT_ID), y)


# What is asked of a sequence: one y, a y a step, or a sequence y with a length of its own, T_y.
Targets = Literal["one", "each", "own"]
Pair = tuple[Array, Array]  # an encoded x, and its y
Vary = Callable[[Array, Array, np.random.Generator], Pair]  # what training makes of a pair


@dataclass(frozen=True)
class Place:
    """Where something stands in a person's files, for messages: `file` and a 1-based `line`."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Document:
    """A stretch of text that belongs together: state is carried within it and starts from zeros at each.

    `lines` of one document follow each other; a document may arrive in several pieces, of which only the first
    has `first` set and only the last has `last` set, so that one of 300 MB never stands in memory as a whole.
    """

    text: str
    place: Place
    first: bool = True
    last: bool = True


@dataclass(frozen=True)
class Note:
    """A note of a tune: from tick `start` to `end`, a MIDI `pitch` (60 is the middle C), `velocity` 1 to 127."""

    start: int
    end: int
    pitch: int
    velocity: int
    voice: int


@dataclass(frozen=True)
class Tune:
    """A tune: notes in voices, with what is needed to play it.

    beat: ticks of a quarter note.  programs: the MIDI program of each voice, 0 to 127; voice DRUMS is the drum set,
    whose pitches are instruments.  tempos: (tick, quarter notes a minute).  meters: (tick, 3, 4) for 3/4.  genre:
    what a person calls its kind; None: nothing.  remarks: what was changed when it was read.
    """

    notes: tuple[Note, ...]
    beat: int
    programs: tuple[int, ...] = (0,)
    tempos: tuple[tuple[int, float], ...] = ()
    meters: tuple[tuple[int, int, int], ...] = ()
    genre: str | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Its notes."""
        return len(self.notes)


DRUMS = 15  # the voice of the drum set; melodic voices are 0 to 14, as MIDI has 16 channels in all


@dataclass(frozen=True)
class Example:
    """One sequence and what is asked of it, as a reader found it.

    x: a text, the tokens of a sentence, numbers [T_x, n_x], a tune, or a file (a sound).  y: a class, a text, a tag a
    token, reals, numbers a step [T_x, n_y], or the tune itself; None where nothing is known.  place: where it begins.
    id: the person's own name for it, passed through.  source: the file that x was opened from.  weight: how much it
    counts in training, compared with the other examples; above 0.  times: datetime64[us] [T_x], when the steps were, if
    that is known.  row: the row of the table that it is, by the names of its columns, if it was asked for.
    fault: why x cannot be read; then x is None.  series: the number of the series that it is a window of; None where it
    is no window.
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
    """Some documents of one file as ids, on their way from an input kind to the store.

    ids: [n] tokens, each document closed by `<EOS>`.  ends: one past each `<EOS>`, indices into ids.
    lines: index of the first token of each source line that has tokens, increasing.  numbers: their 1-based
    line numbers.  characters: where these lines begin, counted in the characters of these documents, of which
    there are `n_characters` (code points after lower-casing, and one for each `<EOS>`).
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
    """One step's worth of training data.

    x: [batch, T_x] ids (-1 is the zero vector, the lecture's x^<1> = 0) or [batch, T_x, n_x] numbers.
    y: the targets in the form of the output kind; for `next` [batch, T_x] ids, -1 where nothing is asked (padding).
    lengths: [batch] true lengths.  carry: [batch] 1 where the row goes on from the step before, 0 where its
    state starts from zeros.  places: [batch] index of the row's first token in the store, for messages.
    weights: [batch] the factor of each row's loss in training, 1 on average over the training part; None: all are 1.
    """

    x: Array
    y: Array
    lengths: Integers
    carry: NDArray[np.bool_]
    places: Integers
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Timeline:
    """When the steps of a recording or a clip are.

    seconds: from one step to the next; 0 where that is not known.  length: of the whole, in seconds.  loudness: [T] dB
    of a recording, one every 10 ms; None where there is nothing to hear.
    """

    seconds: float
    length: float = 0.0
    loudness: Array | None = None


@dataclass(frozen=True)
class Answer:
    """What a model says of one item: `text` for people, `record` for JSON lines (full precision), `cells` for a table;
    without any, a table has the text."""

    text: str
    record: Mapping[str, object]
    cells: Mapping[str, object] = field(default_factory=dict[str, object])
