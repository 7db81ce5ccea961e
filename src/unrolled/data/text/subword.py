"""Learn subword units (byte-level BPE) from the user's text: frequent words stay whole, rare words are split.

Byte-pair encoding (Sennrich et al., arXiv 1508.07909v5) with the library `tokenizers`. It works on the bytes
of words with their leading space. So any text can be split, and joining the pieces restores the text.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from types import ModuleType
from typing import TYPE_CHECKING

from unrolled.core.errors import DataError, need

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel

SUBWORD = "subword"  # the name of the unit
BYTES = 256  # each byte is a piece
WORDS_A_PIECE = 20  # words of text per learned piece, at least; with more pieces, each would be too rare


@dataclass(frozen=True)
class Subwords:
    """A learned subword tokenizer.

    json: the tokenizer in the JSON format of the library; it is stored in the model file.
    """

    json: str

    @cached_property
    def _cutter(self) -> Tokenizer:
        library = _library()
        try:
            return library.Tokenizer.from_str(self.json)
        except Exception as error:  # the library raises nothing more precise
            raise DataError("the model's subwords are damaged") from error

    @cached_property
    def _decoder(self) -> ByteLevel:
        return _library().decoders.ByteLevel()

    def split(self, text: str) -> list[str]:
        """Split a text into pieces.

        Each byte is written as one character of the library's byte alphabet; a space is written as Ġ.
        """
        # A shell can pass half of a surrogate pair, which the library does not accept.
        return self._cutter.encode(text.encode("utf-8", "replace").decode()).tokens

    def join(self, pieces: Iterable[str]) -> str:
        """Join pieces to a text. Bytes that are not valid UTF-8 become U+FFFD."""
        return self._decoder.decode(list(pieces)).removeprefix(" ")


def learn(texts: Iterable[str], most: int) -> tuple[Subwords, Mapping[str, int]]:
    """Learn subwords in one pass over texts. Return the tokenizer and the count of each piece.

    most: maximum number of learned pieces. All 256 bytes are pieces in addition, because any text must be
    writable; bytes that do not occur in the texts have count 0. Memory grows with the number of distinct
    words.

    Raises MissingExtra if `tokenizers` is not installed.
    """
    library = _library()
    cut = library.pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in cut.pre_tokenize_str(text.encode("utf-8", "replace").decode()))
    size = BYTES + min(most, sum(words.values()) // WORDS_A_PIECE)
    cutter = library.Tokenizer(library.models.BPE())
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
    )
    cutter.train_from_iterator(_repeated(words), trainer)
    counts: Counter[str] = Counter(dict.fromkeys(cutter.get_vocab(), 0))
    for word, count in words.items():
        for piece in cutter.encode(word).tokens:
            counts[piece] += count
    cutter.pre_tokenizer = cut
    return Subwords(cutter.to_str()), counts


def _repeated(words: Mapping[str, int]) -> Iterator[str]:
    """Yield each word `count` times, sorted, so that the result does not depend on the order of the texts."""
    for word, count in sorted(words.items()):
        yield from repeat(word, count)


def _library() -> ModuleType:
    os.environ.setdefault(
        "TOKENIZERS_PARALLELISM", "false"
    )  # avoids a warning if the process forks; short texts need no parallelism
    with need("subword", "tokenizers"):
        import tokenizers
    return tokenizers
