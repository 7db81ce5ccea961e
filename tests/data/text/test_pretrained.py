"""Pretrained words: which vectors are kept, and which spelling of a word is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.core.errors import DataError
from unrolled.data.text.pretrained import PretrainedWords, choose, spellings


def vectors(folder: Path, *words: str) -> Path:
    path = folder / "v.txt"
    path.write_text("".join(f"{word} {number + 1} -{number + 1}\n" for number, word in enumerate(words)))
    return path


def test_the_words_of_the_training_set_and_the_first_others_are_kept(tmp_path: Path):
    path = vectors(tmp_path, "the", "of", "cat", "dog", "the", "ran", "cow")
    assert choose(path, ["dog", "The", "unseen"], 0).words == ("the", "dog")
    assert choose(path, ["dog", "The", "unseen"], 2).words == ("the", "of", "cat", "dog")
    assert choose(path, ["cow"], 100).words == ("the", "of", "cat", "dog", "ran", "cow")


def test_vectors_have_the_size_of_an_embedding(tmp_path: Path):
    found = choose(vectors(tmp_path, "a", "b", "a"), [], 9)
    assert found.values is not None and found.values.dtype == np.float16
    assert found.values == pytest.approx(np.array([[1, -1], [2, -2]]) / np.sqrt(2.5), rel=1e-3)


def test_extreme_numbers_are_limited(tmp_path: Path):
    path = tmp_path / "v.txt"
    path.write_text("a 1000000 0\n" + "".join(f"w{i} 0.01 -0.01\n" for i in range(9999)))
    values = choose(path, [], 10_000).values
    assert values is not None and np.isfinite(values).all() and values.max() == 64


@pytest.mark.parametrize(
    ("word", "row"),
    [("Paris", 0), ("paris", 0), ("PARIS", 0), ("the", 1), ("THE", 1), ("1987", 2), ("1-2", 3), ("12", -1)],
)
def test_other_spellings_are_tried(word: str, row: int):
    words = PretrainedWords(("Paris", "the", "0000", "#-#"))
    assert words.row(word) == row
    assert words.encode([word, "the"]).tolist() == [row, 1]


def test_the_word_itself_comes_first():
    assert list(spellings("McX")) == ["McX", "mcx", "Mcx"]
    assert list(spellings("A1")) == ["A1", "a1", "A1", "A0", "a0", "A#", "a#"]
    assert PretrainedWords(("us", "US")).row("US") == 1


def test_files_without_a_usable_vector_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="none of its words occurs in the training set"):
        choose(vectors(tmp_path, "the"), ["cat"], 0)
    (tmp_path / "zero.txt").write_text("cat 0 0\n")
    with pytest.raises(DataError, match="all vectors are zero"):
        choose(tmp_path / "zero.txt", ["cat"], 0)
    with pytest.raises(DataError, match="each word once"):
        PretrainedWords(("a", "a"))
