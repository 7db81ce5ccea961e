"""The hashed n-grams equal those of a slow reference that builds each n-gram as a string."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.models.wide.ngrams import CHARACTERS, OF_WORDS, TOKEN, WORDS, ngrams

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


def strings(text: str) -> set[tuple[str, str]]:
    """The n-grams of a text as (kind, string), by the definition."""
    words = TOKEN.findall(text.lower())
    found = {("word", " ".join(words[i : i + n])) for n in WORDS for i in range(len(words) - n + 1)}
    for word in words:
        padded = f" {word} "
        found |= {("char", padded[i : i + n]) for n in CHARACTERS for i in range(len(padded) - n + 1)}
    return found


@given(TEXTS)
def test_there_are_as_many_hashes_as_different_ngrams(text: str):
    assert len(ngrams(text)) == len(strings(text))


@given(TEXTS, TEXTS)
def test_equal_hashes_are_equal_ngrams(first: str, second: str):
    both = np.intersect1d(ngrams(first), ngrams(second))
    assert len(both) == len(strings(first) & strings(second))
    words = {text for kind, text in strings(first) & strings(second) if kind == "word"}
    assert int((both >= OF_WORDS).sum()) == len(words)


def test_hashes_never_change():
    # Model files contain these numbers, so they are the same in every release and on every machine.
    assert ngrams("").tolist() == []
    assert ngrams("a").tolist() == [424126589, 503192219, 2140776468, 4076400103]


@pytest.mark.parametrize("text", ["", " \t\n", "\u3000"])
def test_a_blank_text_has_no_ngrams(text: str):
    assert len(ngrams(text)) == 0


def test_lone_surrogates_are_allowed():
    assert len(ngrams("a \udc80 b")) > 0


def test_hashes_are_sorted_and_different():
    found = ngrams("the cat that sat on the mat, the cat")
    assert (found[1:] > found[:-1]).all()
