"""Batches of a text stream for language models: which tokens each row of each step reads.

The order is a pure function of (seed, epoch, index). The permutation of the documents is computed, not
stored, so memory does not grow with the number of documents.

An epoch consists of chunks. A chunk is a random set of about 100 x batch_size *pieces*: documents, or parts
of long documents. A piece is read in windows of `window` tokens. Within a chunk:
* Long pieces run in parallel in `batch_size` lanes, and the state is carried from step to step. When a piece
  ends, its lane takes the next piece (list scheduling). The longest pieces start first, because they decide
  when the lanes end.
* Pieces of up to four windows are sorted by length into groups of `batch_size`, which keeps padding small.
  Some pieces of one window fill the idle steps of the lanes instead.
* The lanes are one block of steps, and each group is one block. The blocks are shuffled.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np
from numpy.typing import NDArray

from unrolled.core.hashing import hashed, permuted
from unrolled.core.types import IGNORE_INDEX, ZERO_INPUT_ID, Batch
from unrolled.data.text.rare_to_unk import replace_rare
from unrolled.datasets.token_store import Store

Int64 = NDArray[np.int64]

LONG = 8  # windows; in longer pieces, some windows start from zeros
GROUPED = 4  # maximum number of windows of a piece that is put into a group

# Keys of the hash, one for each use: these random numbers must be independent.
_ORDER, _PHASE, _COLD, _RARE, _STEPS = range(5)


@dataclass(frozen=True)
class _Pieces:
    """The pieces of a store: whole short documents, and the parts of long documents.

    Pieces 0 to documents - 1 are the documents; for a long document, the piece is its first part. The other
    parts follow after them. Only the long documents are kept in memory; there are fewer of them than lanes.
    """

    store: Store
    long: Int64  # [long] the documents that are cut, in increasing order
    first_stops: Int64  # [long] where the first part of each ends
    starts: Int64  # [parts] where the other parts start
    stops: Int64  # [parts] where the other parts stop

    def __len__(self) -> int:
        return self.store.documents + len(self.starts)

    def bounds(self, pieces: Int64) -> tuple[Int64, Int64]:
        """Return the positions where the pieces start and stop, each [pieces]."""
        documents = self.store.documents
        whole = np.minimum(pieces, documents - 1)
        starts, stops = (self.store.clip(self.store.all_offsets[whole + end]) for end in (0, 1))
        if len(self.long):
            found = np.minimum(np.searchsorted(self.long, whole), len(self.long) - 1)
            stops = np.where(self.long[found] == whole, self.first_stops[found], stops)
            part = np.maximum(pieces - documents, 0)
            later = pieces >= documents
            starts, stops = (
                np.where(later, self.starts[part], starts),
                np.where(later, self.stops[part], stops),
            )
        return starts, stops


def _cut(store: Store, limit: int, key: tuple[int, ...] | None) -> _Pieces:
    """Cut documents of more than `limit` tokens, at the start of a line if one is near.

    key: a function of it decides where the first part of each document ends; None: after `limit` tokens.
    """
    long: list[int] = []
    first_stops: list[int] = []
    parts: list[tuple[Int64, Int64]] = []
    for block in range(0, store.documents, 1 << 20):
        offsets = store.offsets(block, block + (1 << 20))
        for document in np.flatnonzero(np.diff(offsets) > limit).tolist():
            start, stop = offsets[document : document + 2].tolist()
            phase = int(hashed((*key, _PHASE), np.array([block + document]))[0]) % limit if key else limit
            cuts = np.arange(start + (phase or limit), stop, limit, dtype=np.int64)
            at_lines = store.next_line(cuts)
            cuts = np.unique(np.where(at_lines - cuts <= limit // 4, at_lines, cuts))
            ends = np.append(cuts[cuts < stop], stop)
            if len(ends) == 1:  # no good place to cut
                continue
            long.append(block + document)
            first_stops.append(int(ends[0]))
            parts.append((ends[:-1], ends[1:]))
    none = np.zeros(0, dtype=np.int64)
    starts, stops = (np.concatenate([none, *(part[side] for part in parts)]) for side in (0, 1))
    return _Pieces(
        store, np.array(long, dtype=np.int64), np.array(first_stops, dtype=np.int64), starts, stops
    )


@dataclass(frozen=True)
class _Chunk:
    """The steps of one chunk, in blocks. Block 0 has the lanes; block g has the group g - 1."""

    starts: Int64  # [pieces] including the warm-up tokens
    stops: Int64  # [pieces]
    windows: Int64  # [pieces] number of windows of each
    laned: Int64  # [laned] the pieces in lanes, sorted by lane and time
    key: Int64  # [laned] lane * lane_steps + first step
    lane_steps: int
    grouped: Int64  # [grouped] the pieces in groups
    bounds: Int64  # [groups + 1] where the groups begin and end in `grouped`
    order: Int64  # [groups + 1] the block numbers, in the order in which the blocks run
    offsets: Int64  # [groups + 2] the first step of each block in this order; last, the number of steps

    def rows(self, step: int, batch_size: int) -> tuple[Int64, Int64]:
        """Return the piece of each row (-1: none) and the number of its window, each [batch]."""
        piece = np.full(batch_size, -1, dtype=np.int64)
        window = np.zeros(batch_size, dtype=np.int64)
        at = int(np.searchsorted(self.offsets, step, side="right")) - 1
        block, step = int(self.order[at]), step - int(self.offsets[at])
        if block:
            members = self.grouped[self.bounds[block - 1] : self.bounds[block]]
            piece[: len(members)], window[: len(members)] = members, step
            return piece, window
        lanes = np.arange(batch_size) * self.lane_steps
        found = np.searchsorted(self.key, lanes + step, side="right") - 1
        index = np.maximum(found, 0)
        # Steps since the piece began; if above `step`, the piece is in another lane.
        ahead = lanes + step - self.key[index]
        busy = (found >= 0) & (ahead <= step) & (ahead < self.windows[self.laned[index]])
        piece[busy], window[busy] = self.laned[index[busy]], ahead[busy]
        return piece, window


def _schedule(
    starts: Int64, stops: Int64, window: int, batch_size: int, key: tuple[int, ...] | None, in_order: bool
) -> _Chunk:
    """Assign the pieces of a chunk to lanes and groups.

    key: key of the order of the blocks; None: not shuffled.
    in_order: put all pieces into lanes, in their order.
    """
    windows = -(-(stops - starts) // window)
    laned, grouped, bounds = np.arange(len(starts)), np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
    if not in_order:
        laned, grouped, bounds = _group(stops - starts, windows, batch_size)
    lanes, begins, ends = _lanes(windows[laned].tolist(), batch_size)
    steps = int(ends.max())
    # Fill the idle steps at the ends of lanes with the longest pieces of one window, whole groups at a time.
    idle = steps - ends  # [lanes]
    fits = bounds[: 1 + np.count_nonzero(windows[grouped[bounds[:-1]]] == 1)]
    filling = int(fits[np.searchsorted(fits, idle.sum(), side="right") - 1])
    lane = np.repeat(np.arange(batch_size), idle)[:filling]
    step = np.arange(filling) - (np.cumsum(idle) - idle)[lane] + ends[lane]
    laned, grouped = np.append(laned, grouped[:filling]), grouped[filling:]
    bounds = bounds[bounds >= filling] - filling
    keys = np.append(lanes, lane) * steps + np.append(begins, step)
    by_time = np.argsort(keys, kind="stable")
    order = np.arange(len(bounds))
    if key is not None:
        order = np.argsort(hashed((*key, _STEPS), order), kind="stable")
    lengths = np.append(steps, windows[grouped[bounds[:-1]]])  # [blocks] steps
    return _Chunk(
        starts=starts,
        stops=stops,
        windows=windows,
        laned=laned[by_time],
        key=keys[by_time],
        lane_steps=steps,
        grouped=grouped,
        bounds=bounds,
        order=order,
        offsets=np.concatenate([[0], np.cumsum(lengths[order])]),
    )


def _group(lengths: Int64, windows: Int64, batch_size: int) -> tuple[Int64, Int64, Int64]:
    """Return the pieces for the lanes, the pieces in groups, and the bounds of the groups.

    Groups with fewer windows per piece come first. Within these, the longest pieces come first.
    """
    in_lanes = windows > GROUPED
    grouped, bounds = [np.zeros(0, dtype=np.int64)], np.zeros(1, dtype=np.int64)
    for count in range(1, GROUPED + 1):
        members = np.flatnonzero(windows == count)
        if count > 1 and len(members) < batch_size // 2:  # a group would leave most rows empty
            in_lanes[members] = True
            continue
        groups = -(-len(members) // batch_size)
        bounds = np.append(bounds, bounds[-1] + np.arange(1, groups + 1) * len(members) // max(1, groups))
        grouped.append(members[np.argsort(-lengths[members], kind="stable")])
    laned = np.flatnonzero(in_lanes)
    # A piece longer than 1/8 of the mean work of a lane could make its lane end late, so it starts early.
    work = windows[laned]
    decisive = work * (8 * batch_size) > work.sum()
    laned = laned[np.lexsort((laned, np.where(decisive, -work, 0)))]
    return laned, np.concatenate(grouped), bounds


def _lanes(windows: list[int], batch_size: int) -> tuple[Int64, Int64, Int64]:
    """Put each piece into the lane that is free first (list scheduling).

    Return the lane of each piece [pieces], its first step [pieces], and the end of each lane [lanes].
    """
    free = list(range(batch_size))  # a heap of time * batch_size + lane
    taken = [0] * len(windows)
    for piece, steps in enumerate(windows):
        taken[piece] = free[0]
        heapq.heapreplace(free, free[0] + steps * batch_size)
    ends = np.zeros(batch_size, dtype=np.int64)
    last = np.array(free, dtype=np.int64)
    ends[last % batch_size] = last // batch_size
    slots = np.array(taken, dtype=np.int64)
    return slots % batch_size, slots // batch_size, ends


def _chunk_bounds(pieces: int, batch_size: int) -> Int64:
    """Return [chunks + 1] the bounds of the chunks, with about 100 x batch_size pieces each.

    All chunks have nearly the same size, so that the last chunk is not a few rows.
    """
    chunks = max(1, round(pieces / (100 * batch_size)))
    return np.arange(chunks + 1) * pieces // chunks


def _windows(chunk: _Chunk, step: int, size: int, batch_size: int) -> tuple[Int64, Int64, Int64, Int64]:
    """Return piece (-1: none), number of its window, begin and end of this window; each [batch].

    All windows of a piece except the last are full. So a row whose state is carried on has no padding, which
    would change the state.
    """
    piece, window = chunk.rows(step, batch_size)
    low = chunk.starts[piece] + window * size
    high = np.minimum(low + size, chunk.stops[piece])
    return piece, window, np.where(piece >= 0, low, 0), np.where(piece >= 0, high, 0)


def _assemble(
    store: Store,
    low: Int64,
    high: Int64,
    begins: NDArray[np.bool_],
    carry: NDArray[np.bool_],
    rare: NDArray[np.bool_] | None,
    key: tuple[int, ...],
) -> Batch:
    """Return the batch of the rows [low, high).

    x^<t> is y^<t-1>. The first x of a row is the token before `low`, or ZERO_INPUT_ID if the row `begins`.
    """
    lengths = high - low
    steps = np.arange(int(lengths.max()))
    positions = np.clip(low[:, None] + np.arange(-1, len(steps)), 0, len(store) - 1)  # [batch, T_x + 1]
    ids = store.ids[positions].astype(np.int64)
    if rare is not None:
        replace_rare(ids, rare, (*key, _RARE), positions + store.begin)
    inside = steps < lengths[:, None]  # [batch, T_x]
    x, y = np.where(inside, ids[:, :-1], ZERO_INPUT_ID), np.where(inside, ids[:, 1:], IGNORE_INDEX)
    x[begins, 0] = ZERO_INPUT_ID
    return Batch(x=x, y=y, lengths=lengths, carry=carry, places=low)


class LanguageEpoch(Sequence[Batch]):
    """The training batches of one epoch; `[i]` is a pure function of (seed, epoch, i), in any order.

    store: the tokens.
    window: maximum number of steps of a row.
    cold: fraction of the later windows of long pieces (over 8 windows) that start from zeros. Such a window
        starts at its first line start; the tokens before that are skipped.
    rare: [n] True for the tokens that are replaced by `<UNK>` with probability 1/2.
    If cold is 0, every token is a target exactly once. Every batch has `batch_size` rows. Only at the end of
    a block can rows be unused; an unused row has length 0.
    """

    def __init__(
        self,
        store: Store,
        batch_size: int,
        window: int,
        seed: int,
        epoch: int,
        cold: float = 0.1,
        rare: NDArray[np.bool_] | None = None,
    ) -> None:
        self._store, self._batch_size, self._window = store, batch_size, window
        self._key, self._cold = (seed, epoch), cold
        self._rare = rare if rare is not None and rare.any() else None
        # A part is as long as the work of one lane, but at least 4 windows: context matters more than lanes.
        self._pieces = _cut(store, max(-(-len(store) // batch_size), 4 * window), self._key)
        self._bounds = _chunk_bounds(len(self._pieces), batch_size)
        steps = [0]
        for number in range(len(self._bounds) - 1):
            steps.append(steps[-1] + int(self._lay(number).offsets[-1]))
        self._steps = np.array(steps)
        self._last = (-1, self._lay(0))

    def __len__(self) -> int:
        return int(self._steps[-1])

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        """Return batch number `index`. Raises IndexError if it is out of range."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        number = int(np.searchsorted(self._steps, index, side="right")) - 1
        if self._last[0] != number:
            self._last = (number, self._lay(number))
        return self._batch(self._last[1], index - int(self._steps[number]))

    def _lay(self, number: int) -> _Chunk:
        members = np.arange(self._bounds[number], self._bounds[number + 1])
        starts, stops = self._pieces.bounds(permuted((*self._key, _ORDER), len(self._pieces), members))
        return _schedule(starts, stops, self._window, self._batch_size, (*self._key, number), in_order=False)

    def _batch(self, chunk: _Chunk, step: int) -> Batch:
        piece, window, low, high = _windows(chunk, step, self._window, self._batch_size)
        cold, line = self._cold_start(chunk, piece, window, low, high)
        # A cold window that starts later is shorter, so it is padded, and no state can be carried after it.
        # The window after it also starts from zeros, but with the token before it as its first x.
        _, line_before = self._cold_start(chunk, piece, window - 1, low - self._window, low)
        carry = (window > 0) & ~cold & (line_before == low - self._window)
        return _assemble(self._store, line, high, (window == 0) | cold, carry, self._rare, self._key)

    def _cold_start(
        self, chunk: _Chunk, piece: Int64, window: Int64, low: Int64, high: Int64
    ) -> tuple[NDArray[np.bool_], Int64]:
        """Return whether each window starts from zeros, and the position where it starts, each [batch].

        - A cold window starts at its first line start, so zeros mean the beginning of a line.
        - A window without a line start is not cold.
        - Exception: if the next line start is more than 8 windows away, a cold window keeps its own start.
        """
        chance = (hashed((*self._key, _COLD), low + self._store.begin) >> np.uint64(11)) * 2.0**-53
        line = self._store.next_line(low)
        inside, far = line < high, line - low > LONG * self._window
        cold = (window > 0) & (chunk.windows[piece] > LONG) & (chance < self._cold) & (inside | far)
        return cold, np.where(cold & inside, line, low)


def evaluation_batches(store: Store, batch_size: int, window: int, warm: int = 256) -> Iterator[Batch]:
    """Yield the batches of one pass over `store`: every token is a target exactly once.

    The state is carried within a document.
    - Very long documents are cut into parts, so that all rows have work. Each part except the first starts
      with the `warm` tokens before it, whose y is -1. The score is then an estimate.
    - With batch_size 1, nothing is cut, the documents keep their order, and the score is exact.
    """
    limit = max(-(-len(store) // batch_size), 4 * window, 8 * warm)
    pieces = _cut(store, limit, None)
    bounds = _chunk_bounds(len(pieces), batch_size)
    for first, last in pairwise(bounds):
        members = np.arange(first, last)
        asked, stops = pieces.bounds(members)
        starts = np.where(members >= store.documents, asked - warm, asked)
        chunk = _schedule(starts, stops, window, batch_size, None, in_order=batch_size == 1)
        for step in range(int(chunk.offsets[-1])):
            piece, number, low, high = _windows(chunk, step, window, batch_size)
            batch = _assemble(store, low, high, number == 0, number > 0, None, ())
            positions = low[:, None] + np.arange(batch.y.shape[1])  # [batch, T_y]
            batch.y[positions < np.where(piece >= 0, asked[piece], 0)[:, None]] = IGNORE_INDEX
            yield batch
