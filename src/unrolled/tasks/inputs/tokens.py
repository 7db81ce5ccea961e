"""Tokens: x^<t> is the id of a word, a character or a subword. Learned: the vocabulary.

Documents are processed in batches of about half a million characters. Therefore a file with many short lines
is read as fast as one long document, and memory use is constant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unrolled.core.config import DataConfig
from unrolled.core.errors import DataError
from unrolled.core.types import Array, Document, Encoded, Example, Place
from unrolled.core.values.example_values import as_text
from unrolled.core.values.json_values import as_object
from unrolled.data.text.pretrained import PretrainedWords, choose
from unrolled.data.text.rare_to_unk import rare_tokens
from unrolled.data.text.subword import SUBWORD, Subwords
from unrolled.data.text.subword import learn as learn_subwords
from unrolled.data.text.token_counter import Coverage, TokenCounter
from unrolled.data.text.tokenize import END, find_unit, join, of_characters, split, split_marked, written
from unrolled.data.text.vocabulary import EOS, UNK, Vocabulary
from unrolled.data.text.word_features import Affixes
from unrolled.data.text.word_features import learn as learn_affixes
from unrolled.models.wide.ngrams import ngrams
from unrolled.models.wide.token_features import token_features

BATCH = 1 << 19  # characters per batch
_LINE_END = -1  # marks a line end among the ids if line ends are not tokens; it is removed later


@dataclass(frozen=True)
class Reading:
    """How a model reads text. It is learned once and stored in the model file.

    lower: whether texts are lower-cased.
    documents: what a document is (the option `--documents`).
    subwords: splits words into subwords, if these are the unit.
    """

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
        """Return the tokens of a text.

        If `lower` is set, the text is lower-cased before it is split into subwords. Other tokens keep their case.
        """
        if self.subwords is not None:
            return self.subwords.split(text.lower() if self.lower else text)
        return split(text, self.unit)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Return [T] the ids of one text, without `<EOS>`."""
        if self.subwords is not None:
            return self.vocabulary.encode(self.split(text))
        return encode_text(text, self.vocabulary, self.unit, self.lower)

    def join(self, tokens: Iterable[str]) -> str:
        """Join tokens to a readable text."""
        return join(tokens, self.unit) if self.subwords is None else self.subwords.join(tokens)

    def text(self, ids: Iterable[int]) -> str:
        """Convert ids to a readable text."""
        return self.join(self.vocabulary.name(int(number)) for number in ids)

    def bare(self, token: str) -> str:
        """Return a token as it appears in a text, without the marks for spaces."""
        return token if self.subwords is not None else find_unit(self.unit).bare(token)

    def as_written(self, text: str) -> str:
        """Return a text in the form in which the model would write it.

        The text is split and joined, and lower-cased if the model reads lower case. If white space is not a
        token, each run of white space becomes one space.
        """
        return self.join(self.split(text.lower() if self.lower else text))

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `from_json` reads."""
        named: dict[str, object] = {"unit": self.unit, "lower": self.lower, "documents": self.documents}
        pieces = {} if self.subwords is None else {"subwords": self.subwords.json}
        return named | pieces | {"vocabulary": self.vocabulary.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, object]) -> Reading:
        """Create a Reading from the JSON object of `to_json`.

        Raises DataError or UsageError, with the reason, if it is damaged.
        """
        if set(value) - {"subwords"} != {"unit", "lower", "documents", "vocabulary"}:
            raise DataError(
                "the text settings in the model file are damaged",
                expected="unit, lower, documents, vocabulary",
            )
        unit, lower, documents = value["unit"], value["lower"], value["documents"]
        if not (isinstance(unit, str) and type(lower) is bool and isinstance(documents, str)):
            raise DataError(
                "the text settings in the model file are damaged",
                expected="names, and true or false for lower",
            )
        pieces = value.get("subwords")
        if (unit == SUBWORD) != isinstance(pieces, str):
            raise DataError(
                "the text settings in the model file are damaged",
                expected="`subwords` if the unit is subword, and only then",
            )
        if unit != SUBWORD:
            find_unit(unit)
        subwords = Subwords(pieces) if isinstance(pieces, str) else None
        return Reading(Vocabulary.from_json(value["vocabulary"]), unit, lower, documents, subwords)


def learn(
    documents: Iterable[Document], unit: str, lower: bool, vocab_size: int
) -> tuple[Vocabulary, Coverage]:
    """Return a vocabulary of the `vocab_size` most frequent tokens, and its coverage of the documents.

    One pass.
    """
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
    """Encode documents as ids with the line of every token, for `token_store.write_store`.

    Each document ends with `<EOS>`. Raises DataError if a text contains a NUL character.
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
    """Return [T] the ids of one text, without `<EOS>`.

    White space between words, including line ends, is not a token.
    """
    return vocabulary.encode(split(text, unit, lower))


def describe(vocabulary: Vocabulary, coverage: Coverage, unit: str, lower: bool) -> str:
    """Return a one-line description of the vocabulary."""
    name = "subwords" if unit == SUBWORD else find_unit(unit).name
    name += ", lower-cased" if lower else ""
    if coverage.kept == coverage.types:
        return f"{coverage.types:,} distinct {name}, all kept; {coverage.tokens:,} in all"
    share = f"{100 * (1 - coverage.unknown):.2f}% of {coverage.tokens:,}"
    return f"the {coverage.kept:,} most frequent of {coverage.types:,} distinct {name}, {share}; the rest is <UNK>"


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield batches of whole documents of one file, up to BATCH characters.

    A piece of a longer document is a batch of its own.
    """
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
    """The state after a batch: whether its last line and its last document already have tokens."""

    line: bool
    document: bool


def _encoded(
    batch: list[Document], text: str, raw: NDArray[np.int32], begun: _Begun
) -> tuple[Encoded, _Begun]:
    """Return the encoded batch and the new state.

    raw: the ids of the batch, including line ends.  text: its characters, with the same line ends.
    """
    codes = _code_points(text)
    # [lines - 1] The positions where lines begin, except the first line. If the text ends with END, the last
    # position is past the end of the text.
    breaks = np.flatnonzero((codes == 10) | (codes == 0)) + 1
    # [lines] The first index of each line in the characters of the text, and in the raw ids.
    in_text = np.concatenate([[0], breaks])
    in_raw = in_text if len(raw) == len(codes) else _after_breaks(raw)
    # [lines] Whether a line is the first of its document, and the index of the first line of its document.
    opens = np.concatenate([[True], codes[breaks - 1] == 0])
    opening = np.flatnonzero(opens)[np.cumsum(opens) - 1]
    first_line = np.array(
        [document.place.line for document in batch] + [0]
    )  # [0]: for the position past the last END
    numbers = first_line[np.cumsum(opens) - 1] + np.arange(len(opens)) - opening
    kept = raw != _LINE_END
    index = np.concatenate([[0], np.cumsum(kept)])  # index in raw -> index in the kept ids
    ids, lines = raw[kept], index[in_raw]
    # A line counts if it has a token. A line with only <EOS> counts only if the whole document is empty.
    has_token = lines < np.append(lines[1:], len(ids))
    first = lines[has_token]
    fresh = np.where(first > 0, ids[first - 1] == EOS, not begun.document)  # first token of its document
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
        # Blank lines belong to the line before them, or, at the start of a document, to its first line.
        characters=np.where(heads, in_text[opening[has_token]], in_text[has_token]),
        n_characters=len(codes),
    )
    closed = batch[-1].last
    in_line = lines[-1] < len(ids) or (len(lines) == 1 and begun.line)
    return part, _Begun(in_line and not closed, (len(ids) > 0 or begun.document) and not closed)


def _after_breaks(raw: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return [lines] the index of the first id of each line. raw: ids including line ends."""
    return np.concatenate([[0], np.flatnonzero((raw == _LINE_END) | (raw == EOS)) + 1])


def _code_points(text: str) -> NDArray[np.uint32]:
    """Return [characters] the code points of a text. Lone surrogates, which a shell can pass, are allowed."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _characters(vocabulary: Vocabulary) -> NDArray[np.int32]:
    """Return [codes] a table from code point to id.

    The last entry is `<UNK>`, for all greater code points.
    """
    letters = {ord(token): number for token, number in vocabulary.index.items() if len(token) == 1}
    table = np.full(max(letters, default=0) + 2, UNK, dtype=np.int32)
    table[list(letters)] = list(letters.values())
    table[ord(END)] = EOS
    return table


def _count_characters(documents: Iterable[Document], lower: bool) -> dict[str, int]:
    totals = np.zeros(128, dtype=np.int64)
    for batch in _batches(documents):
        # Join documents as `encode` does, because lower-casing may depend on the next letter (Greek final sigma).
        text = "".join(document.text + (END if document.last else "") for document in batch)
        counts = np.bincount(_code_points(text.lower() if lower else text))
        counts[: len(END)] = 0  # END is the code point 0
        totals = np.pad(totals, (0, max(0, len(counts) - len(totals))))
        totals[: len(counts)] += counts
    return {chr(code): int(totals[code]) for code in np.flatnonzero(totals)}


@dataclass(frozen=True)
class TokenInput:
    """The encoder of texts. A text is split by its unit; a list of tokens is used unchanged.

    With affixes or pretrained vectors, each step has several ids: the id of the word, the ids of its features,
    and last the row of its vector. Otherwise it has one id.
    """

    reading: Reading
    affixes: Affixes | None = None
    vectors: PretrainedWords | None = None

    ids = True

    @property
    def n_x(self) -> int:
        """Number of ids. The rows of the vectors are counted separately."""
        return len(self.reading.vocabulary) + len(self.affixes or ())

    @property
    def multi_hot(self) -> bool:
        """Whether each step has several ids."""
        return self.affixes is not None or self.vectors is not None

    @property
    def unk_candidates(self) -> NDArray[np.bool_]:
        """[words] True for the ids that `replace_rare` may replace by `<UNK>` in training.

        All are False for subwords, because a subword is never unknown.
        """
        rare = rare_tokens(self.reading.vocabulary)
        return rare if self.reading.subwords is None else np.zeros_like(rare)

    def steps(self, x: object) -> list[str]:
        """Return the tokens of x, not lower-cased. Raises TypeError if x is neither a text nor tokens."""
        return self.reading.split(x) if isinstance(x, str) else _tokens(x)

    def encode(self, x: object, place: Place | None = None) -> NDArray[np.int32]:
        """Encode x as [T] ids, or [T, ids] several ids per step.

        Unused features of a word are -1. With vectors, the last id is the row of the word's vector, or -1.
        """
        tokens = self.steps(x)
        known = [token.lower() for token in tokens] if self.reading.lower else tokens
        words = self.reading.vocabulary.encode(known)  # [T]
        if not self.multi_hot:
            return words
        columns = [words[:, None]]
        if self.affixes is not None:
            features = self.affixes.encode(tokens)
            features[features >= 0] += len(self.reading.vocabulary)
            columns.append(features)
        if self.vectors is not None:
            columns.append(self.vectors.encode(tokens)[:, None])
        return np.concatenate(columns, axis=1)  # [T, ids]

    def unknown(self, x: object, encoded: Array) -> int:
        """Return how many tokens of x are `<UNK>` and have no vector."""
        ids = encoded.reshape(len(encoded), -1)
        unknown = ids[:, 0] == UNK
        return int((unknown if self.vectors is None else unknown & (ids[:, -1] < 0)).sum())

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that `token_input` reads."""
        names = None if self.affixes is None else list(self.affixes.names)
        words = {} if self.vectors is None else {"vectors": list(self.vectors.words)}
        return {"reading": self.reading.to_json(), "affixes": names, **words}


def token_input(value: Mapping[str, object]) -> TokenInput:
    """Create a TokenInput from the JSON object of `to_json`. Raises DataError if it is damaged."""
    if not {"reading", "affixes"} <= set(value) <= {"reading", "affixes", "vectors"}:
        raise DataError("the token settings in the model file are damaged", expected="reading, affixes")
    names, words = (_names(value.get(key)) for key in ("affixes", "vectors"))
    return TokenInput(
        Reading.from_json(as_object(value["reading"])),
        None if names is None else Affixes(names),
        None if words is None else PretrainedWords(words),
    )


def _names(value: object) -> tuple[str, ...] | None:
    """Return a JSON list of texts as a tuple. Raises DataError if the value is neither a list nor None."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise DataError("the token settings in the model file are damaged", expected="lists of texts")
    return tuple(value)


def learn_reading(
    texts: Iterable[object], unit: str, lower: bool, vocab_size: int
) -> tuple[Reading, Coverage]:
    """Learn the vocabulary of texts or lists of tokens; also returns its coverage. One pass.

    Raises DataError if all texts are white space. Raises MissingExtra for subwords if their package is not
    installed.
    """
    subwords = None
    with TokenCounter() as counter:
        if unit == SUBWORD:
            whole = (text if isinstance(text, str) else " ".join(_tokens(text)) for text in texts)
            subwords, counts = learn_subwords((text.lower() if lower else text for text in whole), vocab_size)
            counter.add_counts(counts)
            vocab_size = len(counts)  # keep all: every byte needs its token, so that any text can be encoded
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
    """Learn the vocabulary of examples, and affixes and word vectors if requested.

    Also returns a one-line description. One pass over the examples.
    """
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
    words += f"; {len(affixes):,} affixes and shapes" if affixes else ""
    if config.vectors is None:
        return TokenInput(reading, affixes), words
    kept = reading.vocabulary.tokens
    vectors = choose(Path(config.vectors), kept, config.vectors_extra)
    covered = sum(row >= 0 for row in map(vectors.row, kept))
    words += f"; {covered:,} of {len(kept):,} have a pretrained vector, and {len(vectors):,} words in all"
    return TokenInput(reading, affixes, vectors), words


def _split(x: object, unit: str) -> list[str]:
    """Return the tokens of x, a text or a list of tokens."""
    return split(x, unit) if isinstance(x, str) else _tokens(x)


def _tokens(x: object) -> list[str]:
    """Return a sequence of tokens as a list. Raises TypeError for another type."""
    if not isinstance(x, list | tuple):
        raise TypeError(f"expected a text or a sequence of tokens, found {type(x).__name__}")
    return list(x)


def both_ends(example: Example) -> tuple[str | tuple[str, ...], ...]:
    """Return x and y of an example, from which a shared vocabulary is learned."""
    return as_text(example.x), as_text(example.y)


def text_ngrams(given: TokenInput, x: object, encoded: Array) -> NDArray[np.uint32]:
    """Return the hashes of the n-grams of x, a text or a list of tokens; see `WideFeatures`."""
    return ngrams(x if isinstance(x, str) else given.reading.join(_tokens(x)))


def word_features(given: TokenInput, x: object, encoded: Array) -> NDArray[np.uint32]:
    """Return the features of each token of x; see `WideFeatures`."""
    return token_features(_split(x, given.reading.unit))
