"""Batches of a stream of text (language models): the tokens of each row of each step.

Order is a pure function of (seed, epoch, index) and takes no memory: documents are visited in a permutation that
is computed, not stored, so a plan for six million lines is as small as one for sixty.

An epoch is made of chunks, each a random set of about 100 x batch_size *pieces* (documents, or parts of long ones).
Within a chunk
* long pieces run side by side in `batch_size` lanes; a lane takes the next piece when its own is done (list
  scheduling; those long enough to decide the end start first), the state being carried from step to step;
* pieces of up to four windows are sorted by length into groups of `batch_size`, so that padding is small; some of
  one window rather fill lanes that would stand idle;
* the lanes and the groups are blocks of steps, which are shuffled.
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

LONG = 8  # windows; of a longer piece some start cold
GROUPED = 4  # windows; pieces up to here are grouped by length

# What a hash is for: streams that must not repeat each other.
_ORDER, _PHASE, _COLD, _RARE, _STEPS = range(5)


@dataclass(frozen=True)
class _Pieces:
    """The pieces of a store: short documents as they are, long ones cut; about `limit` tokens at most.

    Pieces 0 to documents - 1 are the documents, a long one standing for its first part; the parts that follow come
    after them. Only the long ones, fewer than the lanes, are held in memory.
    """

    store: Store
    long: Int64  # [long] documents that are cut, increasing
    first_stops: Int64  # [long] where their first part ends
    starts: Int64  # [parts] of the parts after the first
    stops: Int64

    def __len__(self) -> int:
        return self.store.documents + len(self.starts)

    def bounds(self, pieces: Int64) -> tuple[Int64, Int64]:
        """[pieces] where they start and stop."""
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
    """Cut documents of more than `limit` tokens at line starts, with a phase drawn by `key` or none."""
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
    """The steps of one chunk, in blocks: block 0 the lanes, block g the group g - 1, in the order that `order` tells.

    Of the pieces in lanes, by lane and time: `key` is lane * lane_steps + first step.
    """

    starts: Int64  # [pieces] including what warms them
    stops: Int64
    windows: Int64  # [pieces] how many each takes
    laned: Int64  # [laned] pieces in lanes
    key: Int64  # [laned]
    lane_steps: int
    grouped: Int64  # [grouped] pieces in groups
    bounds: Int64  # [groups + 1] where the groups begin and end among them
    order: Int64  # [groups + 1] block numbers
    offsets: Int64  # [groups + 2] first step of the blocks, in that order

    def rows(self, step: int, batch_size: int) -> tuple[Int64, Int64]:
        """[batch] piece of each row (-1: none) and which of its windows."""
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
        ahead = lanes + step - self.key[index]  # steps since the piece began; beyond `step`: of another lane
        busy = (found >= 0) & (ahead <= step) & (ahead < self.windows[self.laned[index]])
        piece[busy], window[busy] = self.laned[index[busy]], ahead[busy]
        return piece, window


def _schedule(
    starts: Int64, stops: Int64, window: int, batch_size: int, key: tuple[int, ...] | None, in_order: bool
) -> _Chunk:
    """Lay the pieces of a chunk out. key: shuffles the blocks; in_order: all in lanes, in the order given."""
    windows = -(-(stops - starts) // window)
    laned, grouped, bounds = np.arange(len(starts)), np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
    if not in_order:
        laned, grouped, bounds = _group(stops - starts, windows, batch_size)
    lanes, begins, ends = _lanes(windows[laned].tolist(), batch_size)
    steps = int(ends.max())
    # Idle steps at the ends of lanes are filled with the longest pieces of one window, whole groups of them.
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
    """Pieces for the lanes, pieces in groups (those of one window first, the longest first), bounds of the groups."""
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
    # What is longer than an eighth of a lane's work could stick out at the end, so it starts first, longest first.
    work = windows[laned]
    decisive = work * (8 * batch_size) > work.sum()
    laned = laned[np.lexsort((laned, np.where(decisive, -work, 0)))]
    return laned, np.concatenate(grouped), bounds


def _lanes(windows: list[int], batch_size: int) -> tuple[Int64, Int64, Int64]:
    """List scheduling: each piece goes to the lane that is free first. [pieces] lane, [pieces] begin, [lanes] end."""
    free = list(range(batch_size))  # time * batch_size + lane, a heap
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
    """[chunks + 1] about 100 x batch_size pieces each, all chunks alike, so that none ends in a lonely row."""
    chunks = max(1, round(pieces / (100 * batch_size)))
    return np.arange(chunks + 1) * pieces // chunks


def _windows(chunk: _Chunk, step: int, size: int, batch_size: int) -> tuple[Int64, Int64, Int64, Int64]:
    """[batch] each: piece (-1: none), window in it, and the positions where this begins and ends.

    All windows of a piece but its last are full: a row whose state goes on has no padding, which would change it.
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
    """The batch of rows [low, high): x is one token behind y, and ZERO_INPUT_ID where a row `begins`."""
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
    """The training batches of one epoch; `[i]` is a pure function of (seed, epoch, i) and may be asked in any order.

    store: the tokens.  window: the most steps of a row.  cold: the share of the later windows of long pieces (over
    8 windows) that start from zeros, at their first line start; the tokens before it are left out.  rare: [n] tokens
    that become `<UNK>` half of the times they are seen.
    Every token is a target exactly once if cold is 0. Every batch has `batch_size` rows, all in use but at the end
    of a chunk; a row without work has length 0.
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
        # Parts so long that they fill all lanes, and no shorter than four windows: context is worth more than lanes.
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
        """Batch number `index`; raises IndexError beyond the last."""
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
        # Behind a window that was moved, and so padded, no state can be carried: it starts from zeros too, but knows
        # the token before it.
        _, line_before = self._cold_start(chunk, piece, window - 1, low - self._window, low)
        carry = (window > 0) & ~cold & (line_before == low - self._window)
        return _assemble(self._store, line, high, (window == 0) | cold, carry, self._rare, self._key)

    def _cold_start(
        self, chunk: _Chunk, piece: Int64, window: Int64, low: Int64, high: Int64
    ) -> tuple[NDArray[np.bool_], Int64]:
        """[batch] whether this window starts cold, and where: at its first line start.

        One without a line start is left warm, so that zeros come to mean the beginning of a line; but in a text that
        has no lines to speak of, cold windows start where they are.
        """
        chance = (hashed((*self._key, _COLD), low + self._store.begin) >> np.uint64(11)) * 2.0**-53
        line = self._store.next_line(low)
        inside, far = line < high, line - low > LONG * self._window
        cold = (window > 0) & (chunk.windows[piece] > LONG) & (chance < self._cold) & (inside | far)
        return cold, np.where(cold & inside, line, low)


def evaluation_batches(store: Store, batch_size: int, window: int, warm: int = 256) -> Iterator[Batch]:
    """Every token as a target exactly once, state carried within documents: one pass over `store`.

    A document far longer than its share of the rows is cut, at most once a row; each part but the first is warmed
    by the `warm` tokens before it, whose y is -1. That is an estimate of the exact score; with batch_size 1 nothing
    is cut, documents come in their order and the score is exact.
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
