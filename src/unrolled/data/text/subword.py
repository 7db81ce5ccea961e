"""Subword units (byte-level BPE) learned from the user's own text: frequent words stay whole, rare words are split.

Byte-pair encoding (Sennrich et al., arXiv 1508.07909v5) by the library `tokenizers`, over the bytes of words with the
space before them, so that any text can be cut, and what is put together again is the text itself.
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
BYTES = 256  # each is a piece
WORDS_A_PIECE = 20  # so many words of text for each piece: little text would see the longer ones too seldom


@dataclass(frozen=True)
class Subwords:
    """How words are cut. json: the library's own description, kept in the model file."""

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
        """The pieces of a text; a space is written as the letter Ġ, other bytes as the library has them."""
        # Half of a surrogate pair, which a shell can hand over, is no text to the library.
        return self._cutter.encode(text.encode("utf-8", "replace").decode()).tokens

    def join(self, pieces: Iterable[str]) -> str:
        """The text of some pieces; bytes that are no text become U+FFFD."""
        return self._decoder.decode(list(pieces)).removeprefix(" ")


def learn(texts: Iterable[str], most: int) -> tuple[Subwords, Mapping[str, int]]:
    """At most `most` pieces of some texts and all 256 bytes besides, and how often each is seen: 0 for bytes that the
    texts do not have. All of them are needed to write any text. One pass; memory grows with the number of distinct
    words. Raises MissingExtra where `tokenizers` is not installed.
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
    """Each word as often as it was seen, in an order that does not depend on that of the texts."""
    for word, count in sorted(words.items()):
        yield from repeat(word, count)


def _library() -> ModuleType:
    os.environ.setdefault(
        "TOKENIZERS_PARALLELISM", "false"
    )  # it warns where a process forks, and texts are short
    with need("subword", "tokenizers"):
        import tokenizers
    return tokenizers
