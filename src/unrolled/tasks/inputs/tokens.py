"""Tokens: x^<t> is the id of a word or a character. Learned: the vocabulary.

Documents are worked on in batches of about half a million characters, so that a million short lines cost no more
than one long file, and memory stays flat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Array, Document, Encoded, Example, Place
from unrolled.core.values.example_values import as_text
from unrolled.core.values.json_values import as_object
from unrolled.data.text.rare_to_unk import rare_tokens
from unrolled.data.text.subword import SUBWORD, Subwords
from unrolled.data.text.subword import learn as learn_subwords
from unrolled.data.text.token_counter import Coverage, TokenCounter
from unrolled.data.text.tokenize import END, find_unit, join, of_characters, split, split_marked, written
from unrolled.data.text.vocabulary import EOS, UNK, Vocabulary
from unrolled.data.text.word_features import Affixes
from unrolled.data.text.word_features import learn as learn_affixes

BATCH = 1 << 19  # characters worked on at once
_LINE_END = -1  # stands for a line end among ids where line ends are no tokens


@dataclass(frozen=True)
class Reading:
    """How a model reads text, learnt once and kept with it: its vocabulary, unit, case and what a document is.
    subwords: how words are cut into pieces, where these are the unit."""

    vocabulary: Vocabulary
    unit: str
    lower: bool
    documents: str
    subwords: Subwords | None = None

    @property
    def of_characters(self) -> bool:
        """Whether each token is one character."""
        return of_characters(self.unit)

    def split(self, text: str) -> list[str]:
        """The tokens of a text; not lower-cased, but for subwords."""
        if self.subwords is not None:
            return self.subwords.split(text.lower() if self.lower else text)
        return split(text, self.unit)

    def encode(self, text: str) -> NDArray[np.int32]:
        """[T] ids of one text, without `<EOS>`."""
        if self.subwords is not None:
            return self.vocabulary.encode(self.split(text))
        return encode_text(text, self.vocabulary, self.unit, self.lower)

    def join(self, tokens: Iterable[str]) -> str:
        """Readable text from tokens."""
        return join(tokens, self.unit) if self.subwords is None else self.subwords.join(tokens)

    def text(self, ids: Iterable[int]) -> str:
        """Readable text from ids."""
        return self.join(self.vocabulary.name(int(number)) for number in ids)

    def bare(self, token: str) -> str:
        """A token as it is written in a text, without the marks of spaces."""
        return token if self.subwords is not None else find_unit(self.unit).bare(token)

    def as_written(self, text: str) -> str:
        """A text as this model would write it if every token were right: split, then joined; in lower case where the
        model reads lower case. Runs of white space become one space where white space is no token."""
        return self.join(self.split(text.lower() if self.lower else text))

    def to_json(self) -> dict[str, object]:
        """What `from_json` reads."""
        named: dict[str, object] = {"unit": self.unit, "lower": self.lower, "documents": self.documents}
        pieces = {} if self.subwords is None else {"subwords": self.subwords.json}
        return named | pieces | {"vocabulary": self.vocabulary.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, object]) -> Reading:
        """A reading from what `to_json` gave; raises DataError or UsageError that says what is wrong with it."""
        if set(value) - {"subwords"} != {"unit", "lower", "documents", "vocabulary"}:
            raise DataError(
                "how the model reads text is damaged", expected="unit, lower, documents, vocabulary"
            )
        unit, lower, documents = value["unit"], value["lower"], value["documents"]
        if not (isinstance(unit, str) and type(lower) is bool and isinstance(documents, str)):
            raise DataError(
                "how the model reads text is damaged", expected="names, and true or false for lower"
            )
        pieces = value.get("subwords")
        if (unit == SUBWORD) != isinstance(pieces, str):
            raise DataError(
                "how the model reads text is damaged", expected="how words are cut, with subwords"
            )
        if unit != SUBWORD:
            find_unit(unit)
        subwords = Subwords(pieces) if isinstance(pieces, str) else None
        return Reading(Vocabulary.from_json(value["vocabulary"]), unit, lower, documents, subwords)


def learn(
    documents: Iterable[Document], unit: str, lower: bool, vocab_size: int
) -> tuple[Vocabulary, Coverage]:
    """The `vocab_size` most frequent tokens of the documents, and how much of them these cover. One pass."""
    find_unit(unit)
    with TokenCounter() as counter:
        if of_characters(unit):
            counter.add_counts(_count_characters(documents, lower))
        else:
            for batch in _batches(documents):
                counter.add(split("\n".join(document.text for document in batch), unit, lower))
        return counter.vocabulary(vocab_size)


def encode(
    documents: Iterable[Document], vocabulary: Vocabulary, unit: str, lower: bool
) -> Iterator[Encoded]:
    """The documents as ids, each closed by `<EOS>`, with the line of every token, for `token_store.write_store`.

    Raises DataError where a text contains a NUL character.
    """
    find_unit(unit)
    characters = _characters(vocabulary) if of_characters(unit) else None
    words = vocabulary.index | {"\n": _LINE_END, END: EOS}
    begun = _Begun(line=False, document=False)
    for batch in _batches(documents):
        text = "".join(document.text + (END if document.last else "") for document in batch)
        if text.count(END) != sum(document.last for document in batch):
            raise DataError("NUL character in the text", file=batch[0].place.file, expected="text")
        text = text.lower() if lower else text
        if characters is not None:
            raw = characters[np.minimum(_code_points(text), len(characters) - 1)]
        else:
            marked = split_marked(text, unit)
            raw = np.fromiter(map(words.get, marked, repeat(UNK)), np.int32, len(marked))
        part, begun = _encoded(batch, text, raw, begun)
        yield part


def encode_text(text: str, vocabulary: Vocabulary, unit: str, lower: bool) -> NDArray[np.int32]:
    """[T] ids of one text, without `<EOS>`; white space between words, line ends too, is no token."""
    return vocabulary.encode(split(text, unit, lower))


def describe(vocabulary: Vocabulary, coverage: Coverage, unit: str, lower: bool) -> str:
    """The vocabulary in one line for people."""
    name = "subwords" if unit == SUBWORD else find_unit(unit).name
    name += ", lower-cased" if lower else ""
    if coverage.kept == coverage.types:
        return f"{coverage.types:,} distinct {name}, all kept; {coverage.tokens:,} in all"
    share = f"{100 * (1 - coverage.unknown):.2f}% of {coverage.tokens:,}"
    return f"the {coverage.kept:,} most frequent of {coverage.types:,} distinct {name}, {share}; the rest is <UNK>"


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Whole documents of one file together, up to BATCH characters; a piece of a longer one by itself."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        whole = document.first and document.last
        if batch and not (whole and size < BATCH and document.place.file == batch[0].place.file):
            yield batch
            batch, size = [], 0
        if not whole:
            yield [document]
            continue
        batch.append(document)
        size += len(document.text)
    if batch:
        yield batch


@dataclass(frozen=True)
class _Begun:
    """Whether the line and the document that the last batch ended in have tokens already."""

    line: bool
    document: bool


def _encoded(
    batch: list[Document], text: str, raw: NDArray[np.int32], begun: _Begun
) -> tuple[Encoded, _Begun]:
    """The record of a batch. raw: its ids, line ends kept; text: its characters, in which the same line ends stand."""
    codes = _code_points(text)
    breaks = (
        np.flatnonzero((codes == 10) | (codes == 0)) + 1
    )  # [lines - 1], and one past the end after an END
    # Where lines begin, among the characters of the text and among the raw ids. [lines]
    in_text = np.concatenate([[0], breaks])
    in_raw = in_text if len(raw) == len(codes) else _after_breaks(raw)
    opens = np.concatenate([[True], codes[breaks - 1] == 0])  # the line is the first of a document
    opening = np.flatnonzero(opens)[np.cumsum(opens) - 1]  # that line of the document it belongs to
    first_line = np.array([document.place.line for document in batch] + [0])  # +[0]: behind the last END
    numbers = first_line[np.cumsum(opens) - 1] + np.arange(len(opens)) - opening
    kept = raw != _LINE_END
    index = np.concatenate([[0], np.cumsum(kept)])  # raw index -> index among the kept ids
    ids, lines = raw[kept], index[in_raw]
    # A line counts if it has a token of its own, an <EOS> alone only where the whole document is empty.
    has_token = lines < np.append(lines[1:], len(ids))
    first = lines[has_token]
    fresh = np.where(first > 0, ids[first - 1] == EOS, not begun.document)  # the first token of the document
    has_token[has_token] = (ids[first] != EOS) | fresh
    heads = fresh[(ids[first] != EOS) | fresh]
    has_token[0] &= not begun.line
    heads = heads[len(heads) - np.count_nonzero(has_token) :]
    part = Encoded(
        ids=ids,
        ends=np.flatnonzero(ids == EOS) + 1,
        file=batch[0].place.file,
        lines=lines[has_token],
        numbers=numbers[has_token].astype(np.int32),
        # Blank lines count to the line before them, or to the first line of their document.
        characters=np.where(heads, in_text[opening[has_token]], in_text[has_token]),
        n_characters=len(codes),
    )
    closed = batch[-1].last
    in_line = lines[-1] < len(ids) or (len(lines) == 1 and begun.line)
    return part, _Begun(in_line and not closed, (len(ids) > 0 or begun.document) and not closed)


def _after_breaks(raw: NDArray[np.int32]) -> NDArray[np.int64]:
    """[lines] where lines begin among ids with line ends kept."""
    return np.concatenate([[0], np.flatnonzero((raw == _LINE_END) | (raw == EOS)) + 1])


def _code_points(text: str) -> NDArray[np.uint32]:
    """[characters] code points; lone surrogates, which a shell can hand over, pass."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _characters(vocabulary: Vocabulary) -> NDArray[np.int32]:
    """[codes] code point -> id; the last entry, for all beyond, is `<UNK>`."""
    letters = {ord(token): number for token, number in vocabulary.index.items() if len(token) == 1}
    table = np.full(max(letters, default=0) + 2, UNK, dtype=np.int32)
    table[list(letters)] = list(letters.values())
    table[ord(END)] = EOS
    return table


def _count_characters(documents: Iterable[Document], lower: bool) -> dict[str, int]:
    totals = np.zeros(128, dtype=np.int64)
    for batch in _batches(documents):
        # Joined as `encode` joins them: lower-casing may look at what stands behind a letter (the final sigma).
        text = "".join(document.text + (END if document.last else "") for document in batch)
        counts = np.bincount(_code_points(text.lower() if lower else text))
        counts[: len(END)] = 0  # END is the code point 0
        totals = np.pad(totals, (0, max(0, len(counts) - len(totals))))
        totals[: len(counts)] += counts
    return {chr(code): int(totals[code]) for code in np.flatnonzero(totals)}


@dataclass(frozen=True)
class TokenInput:
    """How the x of an example becomes ids: a text by its unit, the tokens of a sentence as they are.

    With affixes a step is several ids (its word's, then its features'), else one.
    """

    reading: Reading
    affixes: Affixes | None = None

    ids = True

    @property
    def n_x(self) -> int:
        """How many ids there are."""
        return len(self.reading.vocabulary) + len(self.affixes or ())

    @property
    def multi_hot(self) -> bool:
        """Whether a step is several ids."""
        return self.affixes is not None

    @property
    def unk_candidates(self) -> NDArray[np.bool_]:
        """[words] True for the ids that `replace_rare` replaces in training; no subword, as none is ever unknown."""
        rare = rare_tokens(self.reading.vocabulary)
        return rare if self.reading.subwords is None else np.zeros_like(rare)

    def steps(self, x: object) -> list[str]:
        """The tokens of an x, not lower-cased. Raises TypeError for an x that is neither a text nor tokens."""
        return self.reading.split(x) if isinstance(x, str) else _tokens(x)

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.int32]:
        """[T] ids, or [T, ids] with -1 where a word has fewer features."""
        tokens = self.steps(x)
        known = [token.lower() for token in tokens] if self.reading.lower else tokens
        words = self.reading.vocabulary.encode(known)  # [T]
        if self.affixes is None:
            return words
        features = self.affixes.encode(tokens)
        features[features >= 0] += len(self.reading.vocabulary)
        return np.concatenate([words[:, None], features], axis=1)  # [T, 1 + features]

    def unknown(self, x: object, encoded: Array) -> int:
        """How many tokens of an x are `<UNK>`."""
        return int((encoded.reshape(len(encoded), -1)[:, :1] == UNK).sum())

    def to_json(self) -> dict[str, object]:
        """What `token_input` reads."""
        names = None if self.affixes is None else list(self.affixes.names)
        return {"reading": self.reading.to_json(), "affixes": names}


def token_input(value: Mapping[str, object]) -> TokenInput:
    """What `to_json` gave; raises DataError where it is damaged."""
    names = value.get("affixes")
    if set(value) != {"reading", "affixes"} or not (
        names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names))
    ):
        raise DataError("how the model reads tokens is damaged", expected="reading, affixes")
    return TokenInput(
        Reading.from_json(as_object(value["reading"])), None if names is None else Affixes(tuple(names))
    )


def learn_reading(
    texts: Iterable[object], unit: str, lower: bool, vocab_size: int
) -> tuple[Reading, Coverage]:
    """The vocabulary of some texts, or of the tokens of sentences, and what it covers. One pass.

    Raises DataError where they are all white space, MissingExtra for subwords where they cannot be learnt.
    """
    subwords = None
    with TokenCounter() as counter:
        if unit == SUBWORD:
            whole = (text if isinstance(text, str) else " ".join(_tokens(text)) for text in texts)
            subwords, counts = learn_subwords((text.lower() if lower else text for text in whole), vocab_size)
            counter.add_counts(counts)
            vocab_size = len(
                counts
            )  # all of them: a text whose bytes were left out could not be read or written
        else:
            find_unit(unit)
            for text in texts:
                tokens = _split(text, unit)
                counter.add([token.lower() for token in tokens] if lower else tokens)
        vocabulary, coverage = counter.vocabulary(vocab_size)
    if not coverage.tokens:
        raise DataError("no examples: only white space", expected="text")
    return Reading(vocabulary, unit, lower, "line", subwords), coverage


def learn_tokens(examples: Iterable[Example], config: DataConfig) -> tuple[TokenInput, str]:
    """The vocabulary (and affixes, where asked for) of some examples, and what it covers, in words. One pass."""
    unit = config.source_unit or config.unit or "word"
    counts: Counter[str] = Counter()

    def texts() -> Iterator[object]:
        for example in examples:
            yield from both_ends(example) if config.shared else (example.x,)
            if config.affixes:
                counts.update(_split(example.x, unit))

    kept = written(unit) if config.shared else unit
    reading, coverage = learn_reading(texts(), kept, config.lower, config.vocab_size)
    affixes = learn_affixes(counts) if config.affixes else None
    words = describe(reading.vocabulary, coverage, unit, config.lower)
    return TokenInput(reading, affixes), words + (f"; {len(affixes):,} affixes and shapes" if affixes else "")


def _split(x: object, unit: str) -> list[str]:
    """The tokens of a text, or of a sentence that is split."""
    return split(x, unit) if isinstance(x, str) else _tokens(x)


def _tokens(x: object) -> list[str]:
    """The tokens of a sentence that is split."""
    if not isinstance(x, list | tuple):
        raise TypeError(f"expected a text or a sequence of tokens, found {type(x).__name__}")
    return list(x)


def both_ends(example: Example) -> tuple[str | tuple[str, ...], ...]:
    """x and y of an example, of which a shared vocabulary is made."""
    return as_text(example.x), as_text(example.y)
