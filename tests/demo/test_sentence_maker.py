"""The demo's sentences: deterministic, names of the parts apart, labels right, varied, capitals no give-away."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.core.errors import UsageError
from unrolled.demo.sentence_maker import KEPT, NAME, compose, lecture, make
from unrolled.demo.sentence_words import (
    AMBIGUOUS,
    FIRST,
    LAST,
    NAME_PATTERNS,
    PATTERNS,
    UNSEEN_PATTERNS,
    WORDS,
)

COUNT = 6_000
TRAIN, TEST = make(1, COUNT, "train"), make(1, COUNT, "test")
MAYBE = {part: {entry.split(":")[0] for entry in entries} for part, entries in AMBIGUOUS.items()}


def bare(word: str) -> str:
    """Small letters, without marks around it or a genitive."""
    return re.sub(r"'s$", "", word.strip(".,?!:\"'").lower())


def words(examples, tag: str | None = None) -> Counter[str]:
    found = ((w, t) for e in examples for w, t in zip(e.x, e.y, strict=True))
    return Counter(bare(w) for w, t in found if tag in (None, t))


@given(st.integers(-5, 2**40), st.integers(0, 30), st.integers(0, 30), st.sampled_from(["train", "test"]))
def test_a_pure_function_and_a_smaller_count_is_the_beginning(seed, few, more, part):
    longer = make(seed, few + more, part)
    assert make(seed, few, part) == longer[:few]
    assert [example.place.line for example in longer] == list(range(1, few + more + 1))


def test_seeds_and_parts_differ():
    first, second = ({e.x for e in make(seed, 500, "train")} for seed in (1, 2))
    assert len(first & second) < 10
    assert not {e.x for e in TRAIN} & {e.x for e in TEST if NAME in e.y}


def test_wrong_requests():
    with pytest.raises(UsageError, match=r"'tests'.*try 'test'"):
        make(0, 1, "tests")
    with pytest.raises(UsageError, match="-1 sentences"):
        make(0, -1, "test")


def test_the_lists_are_long_enough_and_apart():
    assert len(set(FIRST["train"])) >= 250 and len(set(LAST["train"])) >= 250
    assert len(PATTERNS) >= 60 and len(set(PATTERNS)) == len(PATTERNS)
    for names in (FIRST, LAST, MAYBE):
        assert not set(names["train"]) & set(names["test"])
    assert len(FIRST["test"]) == len(set(FIRST["test"])) and len(LAST["test"]) == len(set(LAST["test"]))


def test_no_name_of_the_test_part_is_one_in_the_training_part():
    train, test = words(TRAIN, NAME), words(TEST, NAME)
    initials = {word for word in test if len(word) == 1}
    assert set(train) & set(test) <= initials
    assert len(test) > 500


def test_the_lecture_s_names_are_unseen():
    assert {"harry", "potter", "hermione", "grainger", "roosevelt", "spell"} == KEPT
    for part in (TRAIN, TEST):
        assert not KEPT & set(words(part))
    listed = [*FIRST.values(), *LAST.values(), *WORDS.values(), PATTERNS, UNSEEN_PATTERNS]
    assert not KEPT & {bare(word) for entries in listed for entry in entries for word in entry.split()}


def test_the_lecture_s_sentences():
    harry, roosevelt, bears = lecture()
    assert " ".join(harry.x) == "Harry Potter and Hermione Grainger invented a new spell."
    assert harry.y == tuple("110110000") and len(harry.x) == 9
    assert roosevelt.x[0] == bears.x[0] == "Teddy" and (roosevelt.y[0], bears.y[0]) == ("1", "0")
    assert all(len(example.x) == len(example.y) for example in lecture())


@pytest.mark.parametrize("part", ["train", "test"])
def test_labels_are_right(part):
    listed = {word.lower() for word in (*FIRST[part], *LAST[part], *MAYBE[part])}
    plain = {word.lower() for entries in WORDS.values() for entry in entries for word in entry.split()}
    plain -= {word.lower() for word in LAST[part]} | {"a", "may", "june"}  # these may be either
    for example in TRAIN if part == "train" else TEST:
        assert len(example.x) == len(example.y) and set(example.y) <= {"0", "1"}
        for word, tag in zip(example.x, example.y, strict=True):
            name = bare(word)
            if tag == NAME:
                assert name not in plain, example
                assert name in listed or len(name) == 1 or name.isalpha(), example
            else:
                assert name not in {first.lower() for first in FIRST[part]}, example


def test_every_name_slot_is_labelled():
    """Counted from the pattern alone: the fewest words of names each slot brings."""
    rng = random.Random(3)
    for _ in range(3_000):
        made = compose(rng, "train")
        least = 2 * made.pattern.count("{full}") + sum(
            made.pattern.count(slot) for slot in ("{first}", "{last}", "{any}", "{titled}", "{Name}")
        )
        assert made.tags.count(NAME) >= least, made
        # Outside a list such as "and {was}" no other slot brings a name.
        if not least:
            assert NAME not in made.tags, made


def test_words_and_marks():
    ends = Counter(example.x[-1][-1] for example in TRAIN)
    assert 0.5 < ends["."] / COUNT < 0.8 and ends["?"] > 50 and ends["!"] > 50
    assert 0.1 < sum(n for end, n in ends.items() if end.isalnum()) / COUNT < 0.3
    joined = [" ".join(example.x) for example in TRAIN]
    assert not [text for text in joined if re.search(r"[{}|_]|  |\ba [aeio]|\ban [^aeiouAEIOU]", text)]
    lower = sum(text == text.lower() for text in joined) / COUNT
    assert 0.01 < lower < 0.06
    assert all(text[0].isupper() or text[0] == '"' or text == text.lower() for text in joined)


@pytest.mark.parametrize("part", ["train", "test"])
def test_variety(part):
    rng = random.Random(11)
    patterns = Counter(compose(rng, part).pattern for _ in range(COUNT))
    assert max(patterns.values()) < 0.05 * COUNT
    assert len(patterns) > 90
    unseen = sum(patterns[pattern] for pattern in UNSEEN_PATTERNS) / COUNT
    assert unseen == 0 if part == "train" else 0.2 < unseen < 0.5
    examples = TRAIN if part == "train" else TEST
    assert len({example.x for example in examples}) > 0.99 * COUNT


def test_rare_words_are_met_in_both_roles():
    counts = words(TRAIN)
    once = {word for word, count in counts.items() if count == 1}
    names, others = words(TRAIN, "1"), words(TRAIN, "0")
    assert len(once & set(names)) > 500 and len(once & set(others)) > 500


def test_capitals_do_not_give_names_away():
    inside = [(w, t) for e in TRAIN for w, t in list(zip(e.x, e.y, strict=True))[1:] if w[0].isupper()]
    share = sum(t == NAME for _, t in inside) / len(inside)
    assert 0.4 < share < 0.75


def test_ambiguous_words_begin_sentences_in_both_roles():
    first = Counter((e.x[0], e.y[0]) for e in make(5, 30_000, "train") if e.x[0] in MAYBE["train"])
    for word in MAYBE["train"]:
        name, other = first[word, "1"], first[word, "0"]
        assert name + other > 40, word
        assert 0.25 < name / (name + other) < 0.75, word
    names = sum(n for (_, tag), n in first.items() if tag == "1")
    assert 0.4 < names / first.total() < 0.6
    assert 0.4 < first["Teddy", "1"] / (first["Teddy", "1"] + first["Teddy", "0"]) < 0.6


def test_what_follows_teddy_tells():
    """Nothing at the first word, nearly everything with the second."""
    pairs = [(bare(e.x[1]), e.y[0]) for e in make(7, 30_000, "train") if e.x[0] == "Teddy" and len(e.x) > 1]
    tags = Counter(tag for _, tag in pairs)
    assert max(tags.values()) / len(pairs) < 0.6
    follow: dict[str, Counter[str]] = {}
    for word, tag in pairs:
        follow.setdefault(word, Counter())[tag] += 1
    right = sum(max(counts.values()) for counts in follow.values())
    assert right / len(pairs) > 0.97
    bears = [word for word, tag in pairs if tag == "0"]
    assert len(set(bears)) > 30 and Counter(bears)["bears"] / len(bears) > 0.1
    assert any(pattern.startswith("{Name} {last}") for pattern in NAME_PATTERNS)
