"""Tags of spans as people write them: separators, the letter last, lower case; each style is recognised and written."""

from __future__ import annotations

import itertools

import pytest

from unrolled.data.text.span_tags import OUTSIDE, SCHEMES, may_end, may_follow, parts, style_of
from unrolled.tasks.metrics import spans

WRITTEN = {
    "{letter}-{kind}": ("LOC", "PER"),
    "{letter}_{kind}": ("LOC", "a_b"),
    "{letter}:{kind}": ("LOC", "PER"),
    "{kind}-{letter}": ("LOC", "PER-x"),
    "{kind}_{letter}": ("geo", "per"),
}
SENTENCE = (("B", 0), ("I", 0), ("E", 0), ("O", 0), ("S", 1), ("B", 1), ("E", 1), ("B", 0), ("E", 0))
ALPHABETS = {"BIOES": "BIOES", "BMES": "BMOES", "BILOU": "BIOLU", "BMEWO": "BMOEW", "BIO": "BIOIB"}


@pytest.mark.parametrize(
    ("form", "alphabet", "lower"), list(itertools.product(WRITTEN, ALPHABETS, (False, True)))
)
def test_the_style_of_tags_is_recognised_and_written(form: str, alphabet: str, lower: bool):
    letters = dict(zip("BIOES", ALPHABETS[alphabet], strict=True))
    if lower:
        letters = {meaning: letter.lower() for meaning, letter in letters.items()}
    kinds = WRITTEN[form]
    tags = [
        letters["O"] if meaning == "O" else form.format(letter=letters[meaning], kind=kinds[kind])
        for meaning, kind in SENTENCE
    ]
    first, second = kinds
    wanted = [(first, 0, 3), (second, 4, 5), (second, 5, 7), (first, 7, 9)]
    scheme = spans.detect_scheme([tags])
    assert scheme == ("bio" if alphabet == "BIO" else "bioes")
    assert spans.spans(tags) == wanted
    assert spans.tags_of(spans.spans(tags), len(tags), scheme, style_of(tags)) == tuple(tags)
    assert spans.find_bad(tags, scheme) == []


def test_plain_classes_stay_plain():
    for tags in (
        ["NN", "VB", "S"],
        ["NN-S", "VB"],
        ["low", "high", "o"],
        ["a-b", "c-d"],
        ["S", "B"],
        ["n", "v", "o"],
    ):
        assert spans.detect_scheme([tags]) == "none"
    assert [parts(tag) for tag in ("B-", "x-B", "Bx", "", "-", "-B")] == [
        ("B", ""),
        ("B", "x"),
        None,
        None,
        None,
        None,
    ]


def test_the_message_of_a_bad_tag_is_written_as_the_tags_are():
    assert spans.find_bad(["o", "i-loc"], "bio") == [(1, "'i-loc' has no 'b-loc' before it")]
    assert spans.find_bad(["O", "LOC_I"], "bio") == [(1, "'LOC_I' has no 'LOC_B' before it")]


FOLLOWERS = {  # which of these tags may stand after one, by the definitions of the schemes
    "bio": {
        "O": "O B-X B-Y",
        "B-X": "O B-X I-X B-Y",
        "I-X": "O B-X I-X B-Y",
    },
    "bioes": {
        "O": "O B-X S-X B-Y",
        "B-X": "I-X E-X",
        "I-X": "I-X E-X",
        "E-X": "O B-X S-X B-Y",
        "S-X": "O B-X S-X B-Y",
    },
    "iob1": {
        "O": "O I-X I-Y",
        "I-X": "O B-X I-X I-Y",
        "B-X": "O B-X I-X I-Y",
    },
}
TAGS = ("O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y")


@pytest.mark.parametrize("scheme", FOLLOWERS)
def test_which_tags_may_follow_and_end(scheme: str):
    known = [tag for tag in TAGS if tag[0] in SCHEMES[scheme] + "O"]
    for before, followers in FOLLOWERS[scheme].items():
        here = parts(before) or OUTSIDE
        found = [tag for tag in known if may_follow(here, parts(tag) or OUTSIDE, scheme)]
        assert sorted(found) == sorted(followers.split()), before
        assert may_end(here, scheme) == ("O" in followers.split())
