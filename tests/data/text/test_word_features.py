"""What a word shows when nobody has seen it: features of words worked out by hand, learnt from what is given alone."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import DataError
from unrolled.data.text.word_features import WIDTH, Affixes, features, learn, shape


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("McDonald", "=mcdonald ^m ^mc ^mcd ^mcdo d$ ld$ ald$ nald$ onald$ ~XxXxx"),
        ("B-52", "=b-52 ^b ^b- ^b-5 2$ 52$ -52$ ~X-00"),
        ("a", "=a ~x"),
        ("", "= ~"),
        ("No", "=no ^n o$ ~Xx"),
        ("\N{GRINNING FACE}", "=\N{GRINNING FACE} ~\N{GRINNING FACE}"),
        ("Élan", "=élan ^é ^él ^éla n$ an$ lan$ ~Xxx"),
        ("e\N{COMBINING ACUTE ACCENT}", "=e\u0301 ^e \u0301$ ~x\u0301"),
        ("1,000.50", "=1,000.50 ^1 ^1, ^1,0 ^1,00 0$ 50$ .50$ 0.50$ 00.50$ ~0,00.00"),
        ("NATO", "=nato ^n ^na ^nat o$ to$ ato$ ~XX"),
    ],
)
def test_features_by_hand(word: str, expected: str):
    assert list(features(word)) == expected.split(" ")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("iPhone7", "xXxx0"), ("---", "--"), ("U.S.A.", "X.X.X."), ("東京", "xx"), ("Ⅷ", "X"), ("٣٤٥", "00")],
)
def test_shapes(word: str, expected: str):
    assert shape(word) == expected
    assert shape(word + "x" * 1_000_000).startswith(expected)  # of a long one only the beginning is looked at


def test_learnt_by_hand():
    """Affixes and shapes of two distinct words, words seen twice in whatever case; most frequent first."""
    learnt = learn({"sing": 1, "ring": 1, "Sing": 3})
    assert learnt.names == ("=sing", "g$", "ing$", "ng$", "^s", "^si", "^sin", "~xx")
    assert learnt.encode(["wing"]).tolist() == [[1, 3, 2, 7] + [-1] * (WIDTH - 4)]
    assert learnt.encode(["SING"]).tolist() == [[0, 4, 5, 6, 1, 3, 2] + [-1] * (WIDTH - 7)]
    assert learnt.encode(["you", ""]).tolist() == [[7] + [-1] * (WIDTH - 1), [-1] * WIDTH]
    assert learnt.encode([]).shape == (0, WIDTH)
    assert len(learn({})) == 0 and learn({}).encode(["a"]).tolist() == [[-1] * WIDTH]


WORDS = st.dictionaries(st.text(max_size=12), st.integers(1, 5), max_size=20)


@given(WORDS, st.text(max_size=40))
def test_only_what_was_given_is_known_and_the_order_is_settled(counts: dict[str, int], word: str):
    learnt = learn(counts)
    items = list(counts.items())
    random.Random(0).shuffle(items)
    assert learn(dict(items)) == learnt
    stand_in = Counter(name for other in counts for name in set(features(other)))
    for name in learnt.names:
        assert stand_in[name] >= 1
    found = learnt.encode([word])
    assert found.dtype == np.int32 and found.shape == (1, WIDTH)
    known = [learnt.index[name] for name in features(word) if name in learnt.index]
    assert found[0].tolist() == known + [-1] * (WIDTH - len(known))


def test_a_list_with_a_name_twice_is_refused():
    with pytest.raises(DataError, match="the list of affixes is damaged; expected each affix once"):
        Affixes(("g$", "g$"))
