"""Report a validation set in which most tokens are unknown.

Such a set may have another language, case or encoding than the training set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.data.text.vocabulary import EOS, UNK
from unrolled.datasets.example_store import Examples

SAMPLE = 1_000  # number of sequences that are checked; in a text, 100 times this number of tokens
MOST = 0.5  # a larger fraction of unknown tokens is reported


def unknown_in_text(ids: NDArray[np.integer]) -> tuple[str, ...]:
    """Return a message if most of these ids [T] are `<UNK>`; else an empty tuple. `<EOS>` does not count."""
    tokens = ids[: 100 * SAMPLE]
    tokens = tokens[tokens != EOS]
    share = float((tokens == UNK).mean()) if len(tokens) else 0.0
    if share <= MOST:
        return ()
    return (
        f"{share:.0%} of the tokens of the validation set are not in the vocabulary, so the validation loss "
        "means little",
    )


def unknown_in_examples(part: Examples) -> tuple[str, ...]:
    """Return a message if most tokens of the sequences are `<UNK>`; else an empty tuple.

    x of a sequence is [T] ids, or [T, n] ids with the id of the token first.
    """
    numbers = np.unique(np.linspace(0, len(part) - 1, min(len(part), SAMPLE)).astype(np.int64))
    found = [part.row(int(number))[0] for number in numbers]
    return unknown_in_text(np.concatenate([x if x.ndim == 1 else x[:, 0] for x in found])) if found else ()
