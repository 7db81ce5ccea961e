"""Text into tokens and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import UsageError
from unrolled.data.text.tokenize import (
    END,
    JOINER,
    UNITS,
    WORD_JOINERS,
    find_unit,
    join,
    split,
    split_marked,
    written,
)

TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from("ab \n\t'\u2019.,-\u0301\u094d\u200d")
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop, it\u2019s 3.14!", ["Don't", "stop", ",", "it\u2019s", "3", ".", "14", "!"]),
        ("  a\n\nb\u00a0c ", ["a", "b", "c"]),
        ("well-known <UNK>", ["well", "-", "known", "<", "UNK", ">"]),
        (
            "cafe\u0301 हिन्दी \u0645\u06cc\u200c\u062e\u0648\u0627",
            ["cafe\u0301", "हिन्दी", "\u0645\u06cc\u200c\u062e\u0648\u0627"],
        ),
        ("'tis the dogs'", ["'", "tis", "the", "dogs", "'"]),
        ("你好\uff0c世界", ["你好", "\uff0c", "世界"]),
        ("", []),
    ],
)
def test_words(text, tokens):
    assert split(text, "word") == tokens


def between_blanks(text: str) -> list[str]:
    """What stands between spaces, tabs and line ends: a no-break space is part of its word."""
    for blank in "\t\r\n":
        text = text.replace(blank, " ")
    return [word for word in text.split(" ") if word]


@given(TEXT)
def test_nothing_visible_is_lost(text):
    assert "".join(split(text, "word")) == "".join(text.split())
    assert split(text, "white") == between_blanks(text)
    assert join(split(text, "char"), "char") == text


@given(TEXT | st.text(alphabet=JOINER + "a, "))
def test_joining_inverts_splitting_in_the_units_that_models_write(text):
    assert join(split(text, WORD_JOINERS), WORD_JOINERS) == " ".join(text.split())
    assert join(split(text, "white"), "white") == " ".join(between_blanks(text))
    assert [find_unit(WORD_JOINERS).bare(token) for token in split(text, WORD_JOINERS)] == split(text, "word")


def test_only_punctuation_carries_joiners():
    assert split('On 3.14, "she" said (no)!', WORD_JOINERS) == (
        ["On", "3", "￭.￭", "14", "￭,", '"￭', "she", '￭"', "said", "(￭", "no", "￭)", "￭!"]
    )
    assert [written(unit) for unit in ("word", "white", "char", "subword")] == (
        [WORD_JOINERS, "white", "char", "subword"]
    )


@given(TEXT, st.sampled_from(["word", "white", WORD_JOINERS]))
def test_marked_splitting_adds_line_ends_and_document_ends_only(text, unit):
    text = text.replace(END, "")
    parts = [text, "x y", text]
    marked = split_marked(END.join(parts), unit)
    assert [token for token in marked if token not in ("\n", END)] == [
        t for part in parts for t in split(part, unit)
    ]
    assert marked.count("\n") == 2 * text.count("\n")
    assert marked.count(END) == 2


def test_lower():
    assert split("ÀB ΣΑΣ", "word", lower=True) == ["àb", "σας"]
    assert split("AB", "char", lower=True) == ["a", "b"]
    assert split("AB", "char") == ["A", "B"]


@pytest.mark.parametrize(
    "text",
    [
        'He said: "Go (now), don\'t wait!" Then he left.',
        "A well-known pair, and/or three; 5% off?",
        "",
        "one",
    ],
)
def test_joined_words_read_as_they_were_written(text):
    assert join(split(text, "word"), "word") == text


def test_join_of_white_space_units():
    assert join(["a", ",", "b"], "white") == "a , b"


def test_unknown_unit_is_told():
    assert set(UNITS) == {"word", "white", "char"}
    with pytest.raises(UsageError, match="try 'word'"):
        split("a", "words")
