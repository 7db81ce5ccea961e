"""Input kinds: what x^<t> is. One file each: what is learnt from the data, how it is encoded, words for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..types import Document, Encoded
from ..vocab import Coverage, Vocabulary
from . import tokens


@dataclass(frozen=True)
class Input:
    """The functions of an input kind; their contracts stand in `inputs/tokens.py`."""

    learn: Callable[[Iterable[Document], str, bool, int], tuple[Vocabulary, Coverage]]
    encode: Callable[[Iterable[Document], Vocabulary, str, bool], Iterator[Encoded]]
    encode_text: Callable[[str, Vocabulary, str, bool], NDArray[np.int32]]
    describe: Callable[[Vocabulary, Coverage, str, bool], str]


INPUTS: dict[str, Input] = {
    "tokens": Input(tokens.learn, tokens.encode, tokens.encode_text, tokens.describe),
}
