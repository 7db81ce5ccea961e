"""Report a validation part if most of its tokens are unknown: it may be in another language, case or encoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unrolled.data.text.vocabulary import EOS, UNK
from unrolled.datasets.example_store import Examples

SAMPLE = 1_000  # sequences that are looked at, and 100 times as many tokens of a text
MOST = 0.5  # a larger fraction of unknown tokens is reported


def unknown_in_text(ids: NDArray[np.integer]) -> tuple[str, ...]:
    """A line if most of these ids [T] are `<UNK>`; else none. `<EOS>` does not count."""
    tokens = ids[: 100 * SAMPLE]
    tokens = tokens[tokens != EOS]
    share = float((tokens == UNK).mean()) if len(tokens) else 0.0
    if share <= MOST:
        return ()
    return (
        f"{share:.0%} of the tokens of the validation part are unknown to training: its loss means little",
    )


def unknown_in_examples(part: Examples) -> tuple[str, ...]:
    """The same of sequences of tokens; x is [T] ids, or [T, n] with the id of the token first."""
    numbers = np.unique(np.linspace(0, len(part) - 1, min(len(part), SAMPLE)).astype(np.int64))
    found = [part.row(int(number))[0] for number in numbers]
    return unknown_in_text(np.concatenate([x if x.ndim == 1 else x[:, 0] for x in found])) if found else ()
