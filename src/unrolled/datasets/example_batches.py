"""Batches of whole labelled sequences, grouped by length to keep padding small.

The order is a pure function of (seed, epoch):
1. The sequences are shuffled.
2. Blocks of 100 x batch_size sequences are sorted by length and cut into batches.
3. The batches are shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from unrolled.core.hashing import hashed, permuted
from unrolled.core.types import IGNORE_INDEX, ZERO_INPUT_ID, Array, Batch, Integers, Pair, Targets, Vary
from unrolled.data.text.rare_to_unk import replace_rare
from unrolled.datasets.example_store import Examples

_ORDER, _BATCHES, _RARE, _VARIED = 11, 12, 13, 14  # hash keys; they differ from those of token_batches.py
TOGETHER = 100  # batches per block that is sorted by length


class ExampleEpoch(Sequence[Batch]):
    """The training batches of one epoch; `[i]` is a pure function of (seed, epoch, i).

    rare: [n] True for the ids that are replaced by `<UNK>` with probability 1/2.
    vary: data augmentation; it changes x and y of a sequence. Its random numbers are a function of (seed,
        epoch, number of the sequence).
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seed: int,
        epoch: int,
        rare: NDArray[np.bool_],
        vary: Vary | None = None,
    ) -> None:
        self._examples, self._key, self._rare, self._vary = examples, (seed, epoch), rare, vary
        self._weights = examples.weights
        count, lengths, asked = len(examples), examples.lengths, examples.y_lengths
        order = permuted((*self._key, _ORDER), count, np.arange(count))
        parts: list[NDArray[np.int64]] = []
        for start in range(0, count, TOGETHER * batch_size):
            block = order[start : start + TOGETHER * batch_size]
            block = block[np.lexsort((asked[block], lengths[block]))]  # by length of x, then of y
            parts.extend(np.array_split(block, -(-len(block) // batch_size)))
        shuffled = np.argsort(hashed((*self._key, _BATCHES), np.arange(len(parts))), kind="stable")
        self._batches = [parts[number] for number in shuffled.tolist()]

    def __len__(self) -> int:
        return len(self._batches)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        """Return batch number `index`. Raises IndexError if it is out of range."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        rows = self._batches[index]
        batch = collate(self._examples, rows, np.concatenate(self._batches[index : index + 2]), self._varied)
        if self._weights is not None:
            batch = replace(batch, weights=self._weights[rows])
        if self._rare.any():
            words = batch.x.reshape(*batch.x.shape[:2], -1)[:, :, 0]  # [batch, T], a view without affixes
            positions = np.arange(words.size).reshape(words.shape)
            replace_rare(words, self._rare, (*self._key, _RARE, index), positions)
        return batch

    def _varied(self, x: Array, y: Array, row: int) -> Pair:
        """Return x and y after augmentation."""
        if self._vary is None:
            return x, y
        return self._vary(x, y, np.random.default_rng((*self._key, _VARIED, row)))


def batches_by_length(
    examples: Examples, batch_size: int, limit: int | None = None
) -> Iterator[tuple[Batch, Integers]]:
    """Yield (batch, numbers) in order of length: every sequence once, with its number.

    limit: maximum number of sequences; None: all.
    """
    order = np.argsort(examples.lengths, kind="stable")[:limit]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield collate(examples, rows, order[start : start + 2 * batch_size]), rows


def collate(
    examples: Examples,
    rows: NDArray[np.int64],
    ahead: NDArray[np.int64] | None = None,
    varied: Callable[[Array, Array, int], Pair] | None = None,
) -> Batch:
    """Return the batch of some sequences, padded on the right.

    The padding is -1 for ids and classes, 0 for numbers and images in x, and NaN for numbers in y.
    ahead: see `Examples.take`.
    varied: data augmentation, called with x, y and the number of the sequence.
    """
    pairs = examples.take(rows, ahead)
    if varied is not None:
        pairs = [varied(x, y, number) for (x, y), number in zip(pairs, rows.tolist(), strict=True)]
    lengths = np.array([len(x) for x, _ in pairs], dtype=np.int64)
    first_x = pairs[0][0]
    ids = np.issubdtype(first_x.dtype, np.signedinteger)
    kind = np.int64 if ids else np.uint8 if first_x.dtype == np.uint8 else np.float32  # images stay bytes
    x = pad([x for x, _ in pairs], ZERO_INPUT_ID if ids else 0, dtype=kind)
    y = _targets([y for _, y in pairs], examples.targets, x.shape[1])
    return Batch(x=x, y=y, lengths=lengths, carry=np.zeros(len(rows), dtype=np.bool_), places=rows)


def _targets(own: list[Array], targets: Targets, steps: int) -> Array:
    """Return the targets of a batch.

    The shape is [rows, ...] for one y per row. Otherwise it is [rows, T, ...]: T is `steps` for one y per
    step, or the length of the longest y. The padding is ignored by the loss.
    """
    if targets == "one":
        return np.stack(own)
    steps = steps if targets == "each" else 1
    numbers = np.issubdtype(own[0].dtype, np.floating)
    return pad(own, np.nan if numbers else IGNORE_INDEX, steps, np.float64 if numbers else np.int64)


def pad(rows: Sequence[Array], fill: float, steps: int = 1, dtype: type[np.generic] | None = None) -> Array:
    """Return rows [T_i, ...] as one array [rows, T, ...], filled on the right.

    T is the longest T_i, at least `steps`.
    dtype: type of the result; None: the type of the rows.
    There must be at least one row.
    """
    longest = max(steps, *(len(row) for row in rows))
    padded = np.full((len(rows), longest, *rows[0].shape[1:]), fill, dtype=dtype or rows[0].dtype)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded
