"""Tokens: learning a vocabulary, encoding with lines and characters kept, on disk and back."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Document, Place
from unrolled.data.readers.text_files import read
from unrolled.data.text.tokenize import UNITS, split
from unrolled.data.text.vocabulary import EOS, UNK, Vocabulary
from unrolled.datasets.token_store import write_store
from unrolled.tasks.inputs import tokens
from unrolled.tasks.inputs.tokens import Reading, describe, encode, encode_text, learn

LETTERS = st.text(alphabet="abB, \n\n\u2019é\u0301😀", max_size=25)
UNIT = st.sampled_from(sorted(UNITS))


def documents_of(texts: list[list[str]]) -> list[Document]:
    """Documents, each from its pieces, one under the other in two files."""
    found = []
    for file in ("one.txt", "two.txt"):
        line = 1
        for pieces in texts:
            for number, text in enumerate(pieces):
                place = Place(Path(file), line)
                found.append(Document(text, place, number == 0, number == len(pieces) - 1))
                line += text.count("\n")
            line += 1
    return found


PIECES = st.lists(st.lists(LETTERS, min_size=1, max_size=3), min_size=1, max_size=5)


@given(PIECES, UNIT, st.booleans(), st.integers(1, 6), st.integers(1, 40))
def test_encoding_is_splitting_with_lines_and_characters(tmp_path_factory, texts, unit, lower, size, batch):
    if unit != "char":  # readers cut pieces between words only
        texts = [[piece + "\n" for piece in pieces[:-1]] + pieces[-1:] for pieces in texts]
    documents = documents_of(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "BATCH", batch)
        vocabulary, coverage = learn(documents, unit, lower, size)
        encoded = encode(documents, vocabulary, unit, lower)
        store = write_store(tmp_path_factory.mktemp("store"), encoded, len(vocabulary))

    counts = Counter(token for document in documents for token in split(document.text, unit, lower))
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert list(vocabulary.tokens) == [token for token, _ in best[:size]]
    assert (coverage.types, coverage.tokens) == (len(counts), counts.total())

    # Token by token, the slow way: (id, file, line), line by line.
    expected, ends, characters = [], [0], 0
    for document in documents:
        lines = document.text.split("\n")
        for number, line in enumerate(lines):
            text = line + ("\n" if number < len(lines) - 1 and unit == "char" else "")
            place = Place(document.place.file, document.place.line + number)
            expected += [(i, place) for i in vocabulary.encode(split(text, unit, lower)).tolist()]
        characters += len(document.text.lower() if lower else document.text)
        if document.last:
            opened = not expected or len(expected) == ends[-1]
            expected.append((EOS, None if opened else expected[-1][1]))
            ends.append(len(expected))
    assert store.ids.tolist() == [number for number, _ in expected]
    assert store.all_offsets.tolist() == ends
    assert store.characters == characters + len(ends) - 1
    for position, (number, place) in enumerate(expected):
        if number != EOS:
            assert store.place(position) == place
        elif place is None:
            assert store.place(position).file in (Path("one.txt"), Path("two.txt"))
    # Lines begin where the line of a token is another than that of the token before.
    starts = store.all_lines[:-1].tolist()
    assert starts == sorted(set(starts))
    assert set(ends[:-1]) <= set(starts)
    for position in range(1, len(expected)):
        (number, place), before = expected[position], expected[position - 1]
        if number != EOS and before[0] != EOS:
            assert (position in starts) == (place != before[1])


@given(LETTERS, UNIT, st.booleans())
def test_one_text(text, unit, lower):
    vocabulary = Vocabulary(("a", "b", "\n", ","), (4, 3, 2, 1))
    ids = encode_text(text, vocabulary, unit, lower)
    assert ids.tolist() == vocabulary.encode(split(text, unit, lower)).tolist()
    assert not np.isin(ids, EOS).any()


def test_characters_that_are_none():
    vocabulary = Vocabulary(("a",), (1,))
    assert encode_text("a\udcff\0a", vocabulary, "char", False).tolist() == [2, UNK, UNK, 2]
    for unit in UNITS:
        with pytest.raises(DataError, match=r"x\.txt: NUL"):
            list(encode([Document("a\0b", Place(Path("x.txt"), 1))], vocabulary, unit, False))
    with pytest.raises(DataError, match="valid Unicode"):
        learn([Document("a\udcff", Place(Path("x.txt"), 1))], "char", False, 10)
    with pytest.raises(UsageError):
        learn([], "letters", False, 10)


def test_all_words_unknown_still_works(tmp_path):
    vocabulary, _ = learn([Document("a b c", Place(Path("x"), 1))], "word", False, 10)
    store = write_store(
        tmp_path / "s", encode([Document("x y", Place(Path("y"), 1))], vocabulary, "word", False), 5
    )
    assert store.ids.tolist() == [UNK, UNK, EOS]


def test_reading_keeps_itself_and_speaks():
    reading = Reading(Vocabulary(("the", "cat", "."), (3, 2, 1)), "word", True, "line")
    assert Reading.from_json(reading.to_json()) == reading
    assert reading.encode("The CAT sat.").tolist() == [2, 3, UNK, 4]
    assert reading.text([2, 3, 4]) == "the cat."
    for change in ({"unit": "letters"}, {"lower": 1}, {"documents": None}, {"more": 1}, {"vocabulary": []}):
        with pytest.raises((DataError, UsageError)):
            Reading.from_json(reading.to_json() | change)


def test_described_in_words():
    vocabulary, coverage = learn([Document("a a b c", Place(Path("x"), 1))], "word", True, 2)
    assert describe(vocabulary, coverage, "word", True) == (
        "the 2 most frequent of 3 distinct words, lower-cased, 75.00% of 4; the rest is <UNK>"
    )
    vocabulary, coverage = learn([Document("a a b", Place(Path("x"), 1))], "char", False, 9)
    assert describe(vocabulary, coverage, "char", False) == "3 distinct characters, all kept; 5 in all"


def test_memory_stays_flat():
    def peak(copies: int) -> int:
        documents = (Document("and so it goes on, he said\n" * 2000, Place(Path("x"), 1), False, False)
                     for _ in range(copies))  # fmt: skip
        tracemalloc.start()
        try:
            counted, _ = learn(documents, "char", False, 100)
            for _ in range(copies):
                piece = Document("and so it goes on, he said\n" * 2000, Place(Path("x"), 1), False, False)
                sum(len(part.ids) for part in encode([piece], counted, "char", False))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(100) < peak(3) + (1 << 20)


def test_a_real_text(data, tmp_path):
    file = data / "lm_char" / "tinyshakespeare.txt"
    vocabulary, coverage = learn(read([file]), "char", False, 10_000)
    store = write_store(tmp_path, encode(read([file]), vocabulary, "char", False), len(vocabulary))
    assert (coverage.types, coverage.tokens, len(store)) == (65, 1_115_394, 1_115_395)
    text = file.read_text()
    assert "".join(map(vocabulary.name, store.ids[500_000:500_100].tolist())) == text[500_000:500_100]
    assert store.place(500_000).line == 1 + text[:500_000].count("\n")
