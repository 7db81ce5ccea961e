"""Other inputs of recurrent layers, as in torch.nn: packed sequences, and one sequence without batch axis."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from unrolled.core.errors import UsageError

States = Tensor | tuple[Tensor, ...]  # as in torch.nn: one tensor, or two for the LSTM
Answer = tuple[Tensor, States]


def of_packed(
    run: Callable[[Tensor, States | None, Tensor], Answer],
    packed: PackedSequence,
    state: States | None,
    batch_first: bool,
) -> tuple[PackedSequence, States]:
    """Run on the padded sequences and their lengths. Pack the outputs in the same way as the inputs."""
    x, lengths = pad_packed_sequence(packed, batch_first=batch_first)
    a, after = run(x, state, lengths)
    if packed.sorted_indices is not None:
        a = a.index_select(0 if batch_first else 1, packed.sorted_indices)
        lengths = lengths[packed.sorted_indices.cpu()]
    made = pack_padded_sequence(a, lengths, batch_first=batch_first)
    return PackedSequence(
        made.data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
    ), after


def of_one(
    run: Callable[[Tensor, States | None, None], Answer], x: Tensor, state: States | None, batch_first: bool
) -> Answer:
    """Run one sequence as a batch of size 1. x: [T_x, n_x]. state: [layers * directions, n_a]."""
    axis = 0 if batch_first else 1
    a, after = run(x.unsqueeze(axis), None if state is None else _each(state, _with_batch), None)
    return a.squeeze(axis), _each(after, _without_batch)


def refuse_lengths(lengths: object) -> None:
    """Raise UsageError if `lengths` is not None.

    For packed sequences and for one sequence, the lengths are known.
    """
    if lengths is not None:
        raise UsageError("lengths are for a batch of padded sequences", hint="lengths=None")


def _each(state: States, change: Callable[[Tensor], Tensor]) -> States:
    return change(state) if isinstance(state, Tensor) else tuple(change(array) for array in state)


def _with_batch(array: Tensor) -> Tensor:
    if array.ndim != 2:
        raise UsageError(
            f"an array of the state is {list(array.shape)}, but x has no batch axis", expected="two axes"
        )
    return array.unsqueeze(1)


def _without_batch(array: Tensor) -> Tensor:
    return array.squeeze(1)
