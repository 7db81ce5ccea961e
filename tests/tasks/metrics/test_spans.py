"""Spans by hand and against seqeval, schemes there and back, what is malformed, and the two measures of WNUT-17."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import DataError, UsageError
from unrolled.tasks.metrics.spans import (
    Counts,
    Span,
    convert,
    detect_scheme,
    find_bad,
    spans,
    surface,
    surface_f1,
    tags_of,
    tally,
)

ANY_TAG = st.sampled_from(
    ["O", "O", *(f"{letter}-{kind}" for letter in "BIES" for kind in ("PER", "LOC", "a-b"))]
)
SENTENCES = st.lists(
    st.lists(st.tuples(ANY_TAG, ANY_TAG), max_size=12).map(lambda rows: tuple(zip(*rows, strict=True))),
    max_size=8,
)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
        ("I-PER I-PER B-PER O I-LOC", [("PER", 0, 2), ("PER", 2, 3), ("LOC", 4, 5)]),
        ("S-PER B-LOC I-LOC E-LOC", [("PER", 0, 1), ("LOC", 1, 4)]),
        ("U-PER B-LOC I-LOC L-LOC", [("PER", 0, 1), ("LOC", 1, 4)]),
        ("B I O B", [("", 0, 2), ("", 3, 4)]),
        ("B-creative-work I-creative-work", [("creative-work", 0, 2)]),
        # malformed: an I- without its B- begins a span, another type ends one, so does E-
        ("O I-PER I-LOC", [("PER", 1, 2), ("LOC", 2, 3)]),
        ("B-PER I-LOC I-PER", [("PER", 0, 1), ("LOC", 1, 2), ("PER", 2, 3)]),
        ("B-PER E-PER I-PER E-PER E-PER", [("PER", 0, 2), ("PER", 2, 4), ("PER", 4, 5)]),
        ("S-PER I-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B-PER NOUN I-PER X-PER", [("PER", 0, 1), ("PER", 2, 3)]),
    ],
)
def test_spans_by_hand(tags, expected):
    assert spans(tags.split()) == [Span(*one) for one in expected]


@given(SENTENCES)
def test_spans_and_scores_are_seqevals(sentences):
    metrics = pytest.importorskip("seqeval.metrics.sequence_labeling")
    sentences = [pair for pair in sentences if pair]
    gold, predicted = ([list(pair[i]) for pair in sentences] for i in (0, 1))
    for tags in gold + predicted:
        assert [(kind, a, b - 1) for kind, a, b in spans(tags)] == metrics.get_entities(tags)
    found = tally(gold, predicted)
    if not found.types:
        assert (found.overall, found.macro_f1) == (Counts(), 0.0)
        return
    ours = (found.overall.precision, found.overall.recall, found.overall.f1)
    micro = metrics.precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    assert ours == pytest.approx(micro[:3], abs=1e-12)
    macro = metrics.precision_recall_fscore_support(gold, predicted, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(macro[2], abs=1e-12)
    each = metrics.precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)
    assert [[one.precision, one.recall, one.f1, one.gold] for one in found.types.values()] == [
        pytest.approx([float(column[i]) for column in each], abs=1e-12) for i in range(len(found.types))
    ]


def test_scores_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O", "B-PER"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["B-LOC", "I-LOC", "B-PER"]]
    found = tally(gold, predicted)
    assert found.types == {"LOC": Counts(2, 1, 0), "PER": Counts(2, 3, 2)}
    assert found.overall == Counts(4, 4, 2)
    assert (found.overall.precision, found.overall.recall, found.overall.f1) == (0.5, 0.5, 0.5)
    assert found.types["PER"].precision == pytest.approx(2 / 3)
    assert found.types["PER"].recall == 1
    assert found.types["PER"].f1 == pytest.approx(0.8)
    assert found.macro_f1 == pytest.approx(0.4)
    assert tally(gold, gold).overall.f1 == tally(gold, gold).macro_f1 == 1
    assert tally([], []).overall.f1 == tally([], []).macro_f1 == 0


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(DataError, match="sentence 2 has 1 true and 2 predicted tags"):
        tally([["O"], ["O"]], [["O"], ["O", "O"]])
    with pytest.raises(DataError, match="sentence 2 has no predicted tags"):
        tally([["O"], ["O"]], [["O"]])
    with pytest.raises(DataError, match="sentence 1 has no true tags"):
        tally([], [["O"]])
    with pytest.raises(DataError, match="sentence 1 has 2 tokens and 1 tags"):
        surface([["a", "b"]], [["O"]], [["O"]])
    for tokens, tags, missing in (([], [["O", "O"]], "tokens"), ([["a", "b"]], [], "tags")):
        with pytest.raises(DataError, match=f"sentence 1 has no {missing}"):
            surface(tokens, tags, tags)


def test_surface_forms_count_once():
    tokens = [["New", "York", "and", "Paris"], ["New", "York", "or", "paris"], ["Ann"]]
    gold = [["B-LOC", "I-LOC", "O", "B-LOC"], ["B-LOC", "I-LOC", "O", "B-LOC"], ["B-PER"]]
    predicted = [["B-LOC", "I-LOC", "O", "O"], ["B-LOC", "B-LOC", "O", "B-LOC"], ["B-LOC"]]
    # true: New York, Paris, paris, PER Ann; predicted: New York, New, York, paris, LOC Ann
    assert surface(tokens, gold, predicted) == Counts(4, 5, 2)
    assert surface_f1(tokens, gold, predicted) == pytest.approx(4 / 9)
    assert tally(gold, predicted).overall == Counts(5, 5, 2)
    assert surface_f1([], [], []) == 0


def test_schemes_by_hand():
    found = [Span("A", 0, 2), Span("A", 2, 3), Span("B", 3, 4), Span("A", 5, 8)]
    assert tags_of(found, 8, "bio") == tuple(["B-A", "I-A", "B-A", "B-B", "O", "B-A", "I-A", "I-A"])
    assert tags_of(found, 8, "bioes") == tuple(["B-A", "E-A", "S-A", "S-B", "O", "B-A", "I-A", "E-A"])
    assert tags_of(found[::-1], 8, "iob1") == tuple(["I-A", "I-A", "B-A", "I-B", "O", "I-A", "I-A", "I-A"])
    assert convert(["I-A", "NOUN", "I-", "E"], "bio") == ("B-A", "O", "B", "I")
    assert tags_of([], 2, "bio") == ("O", "O")
    for overlapping in ([Span("A", 0, 2), Span("B", 1, 3)], [Span("A", 1, 1)], [Span("A", 2, 4)]):
        with pytest.raises(DataError, match="not empty and do not overlap"):
            tags_of(overlapping, 3, "bio")
    for scheme in ("none", "bilou"):
        with pytest.raises(UsageError, match=f"'{scheme}'; expected bio, bioes, iob1"):
            tags_of([], 1, scheme)


@given(st.lists(ANY_TAG, max_size=15), st.sampled_from(["bio", "bioes", "iob1"]))
def test_a_conversion_keeps_the_spans_and_obeys_its_scheme(tags, scheme):
    there = convert(tags, scheme)
    assert spans(there) == spans(tags)
    assert convert(there, scheme) == there
    assert find_bad(there, scheme) == []
    assert convert(convert(there, "bio"), scheme) == there


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (["O B-A I-A", "B-A"], "bio"),
        (["O I-A I-A", "I-A B-A"], "iob1"),
        (["I-A O I-B"], "iob1"),
        (["B-A O B-B"], "bio"),
        (["B-A E-A"], "bioes"),
        (["O U-A"], "bioes"),
        (["B I O", "B"], "bio"),
        (["B-A O B-A", "O I-A", "B-A I-A"], "bio"),  # one B- was forgotten
        (["I-A O I-A", "O B-A", "I-A I-A"], "iob1"),
        (["B-A O I-A"], "bio"),  # as often this way as that
        (["O O", ""], "none"),
        ([], "none"),
        (["NOUN VERB", "B-A"], "none"),
        (["S E S"], "none"),
        (["I O I"], "none"),
        (["O-A B-A"], "none"),
    ],
)
def test_schemes_are_detected(sentences, expected):
    assert detect_scheme([sentence.split() for sentence in sentences]) == expected


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("bio", "O B-A I-A I-A O", []),
        ("bio", "I-A", [(0, "'I-A' has no 'B-A' before it")]),
        ("bio", "B-A I-B O I-B", [(1, "'I-B' has no 'B-B' before it"), (3, "'I-B' has no 'B-B' before it")]),
        (
            "bio",
            "E-A X",
            [(0, "'E-A' is not a tag of the scheme bio"), (1, "'X' is not a tag of the scheme bio")],
        ),
        ("bio", "B I O I", [(3, "'I' has no 'B' before it")]),
        ("bioes", "B-A I-A E-A S-A O", []),
        ("bioes", "B-A O", [(0, "'B-A' is not closed by 'E-A'")]),
        ("bioes", "B-A I-A", [(1, "'I-A' is not closed by 'E-A'")]),
        ("bioes", "E-A", [(0, "'E-A' has no 'B-A' before it")]),
        ("iob1", "I-A B-A I-A O I-A", []),
        ("iob1", "O B-A", [(1, "'B-A' does not separate two spans of its type")]),
        ("iob1", "I-B B-A", [(1, "'B-A' does not separate two spans of its type")]),
        ("none", "B-A NOUN", []),
    ],
)
def test_bad_tags_are_named(scheme, tags, expected):
    assert find_bad(tags.split(), scheme) == expected


def test_an_unknown_scheme_is_refused():
    with pytest.raises(UsageError, match="unknown tagging scheme 'iob'"):
        find_bad(["O"], "iob")


@pytest.mark.parametrize(
    ("name", "entities"),
    [("wnut17train.conll", 1975), ("emerging.dev.conll", 836), ("emerging.test.annotated", 1079)],
)
def test_wnut_has_the_entities_its_authors_counted(data, name, entities):
    text = (data / "tagging" / "wnut17" / name).read_text(encoding="utf-8")
    lines = [line.strip() for line in text.split("\n")]  # a token may hold what else counts as a line break
    blocks = [block.split("\n") for block in "\n".join(lines).split("\n\n")]
    tags = [[line.split("\t")[1] for line in block if line] for block in blocks]
    assert detect_scheme(tags) == "bio"
    assert tally(tags, tags).overall == Counts(entities, entities, entities)
    assert [fault for sentence in tags for fault in find_bad(sentence, "bio")] == []
