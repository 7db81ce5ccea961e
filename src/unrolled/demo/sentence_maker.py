"""Generate the sentences for the name taggers of the demo: some of their words are part of a person's name.

Sentences are composed from the patterns and words of `sentence_words`. Simple rules do not find the names:
* Capitals do not help: cities, companies, months and the first word of every sentence have them too.
* A list of names does not help: many first names are also ordinary words ("Teddy Albright was our president",
  "Teddy bears are on sale"). Both uses are equally frequent at the start of a sentence, so the next words
  decide.
* Known words do not help: many names, places and companies are random words. Most of them occur once, so
  unknown words occur in every role.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

from unrolled.core.errors import UsageError, suggest
from unrolled.core.types import Example, Place
from unrolled.demo.sentence_words import (
    AMBIGUOUS,
    FIRST,
    LAST,
    NAME_PATTERNS,
    OPENINGS,
    PATTERNS,
    UNSEEN_PATTERNS,
    WORD_PATTERNS,
    WORDS,
    words,
)

NAME, OTHER = "1", "0"
PARTS = ("train", "test")
# The trained model is tested on the sentences of the lecture, so these words of them never occur in training.
KEPT = frozenset(("harry", "potter", "hermione", "grainger", "roosevelt", "spell"))
_LECTURE = (
    ("Harry Potter and Hermione Grainger invented a new spell.", "110110000"),
    ("Teddy Roosevelt was a great president.", "110000"),
    ("Teddy bears are on sale!", "00000"),
)
FAVOURITE = "Teddy"  # the word of the lecture that is sometimes a name

Marked = list[tuple[str, str]]  # words with their tags


@dataclass(frozen=True)
class Sentence:
    """A composed sentence: its pattern, its words, and one tag per word ("1": part of a person's name)."""

    pattern: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class _Draw:
    """The source of the words that fill the slots of one sentence.

    rng: random numbers.  part: "train" or "test".  word: an ambiguous word, which may be a name.
    heads: nouns that follow `word` if it is not a name.
    """

    rng: random.Random
    part: str
    word: str
    heads: list[str]


def make(seed: int, count: int, part: str) -> list[Example]:
    """Return `count` tagged sentences of the `part` "train" or "test". Equal arguments give equal sentences.

    x: the words; the full stop is attached to the last one.
    y: one tag per word, "1" (part of a person's name) or "0". A title is not part of a name.
    No first name or surname occurs in both sets. In the test set, half of the sentences without an
    ambiguous word have patterns that do not occur in training. A smaller count returns the beginning of a
    larger one.
    Raises UsageError if the part is unknown or the count is negative.
    """
    if part not in PARTS:
        raise UsageError(f"unknown part {part!r}", expected=" or ".join(PARTS), hint=suggest(part, PARTS))
    if count < 0:
        raise UsageError(f"a count of {count:,} sentences", expected="0 or more")
    rng = random.Random(f"{part} {seed}")
    made = (compose(rng, part) for _ in range(count))
    source = Path(f"{part}-sentences")
    return [Example(s.words, s.tags, Place(source, line)) for line, s in enumerate(made, start=1)]


def lecture() -> list[Example]:
    """Return the sentences of the lecture with their tags: unseen names, and one first word in two roles."""
    source = Path("lecture")
    lines = enumerate(_LECTURE, start=1)
    return [Example(tuple(text.split()), tuple(tags), Place(source, line)) for line, (text, tags) in lines]


def compose(rng: random.Random, part: str) -> Sentence:
    """Return the next sentence of a set."""
    ambiguous = _ambiguous(part)
    favourite = FAVOURITE in ambiguous and rng.random() < 0.2
    word = FAVOURITE if favourite else rng.choice(list(ambiguous))
    pattern = _pattern(rng, part, word)
    marked = _fill(pattern, _Draw(rng, part, word, ambiguous[word]))
    marked = _dress(rng, marked)
    return Sentence(pattern, tuple(word for word, _ in marked), tuple(tag for _, tag in marked))


def _pattern(rng: random.Random, part: str, word: str) -> str:
    """Choose a pattern: in 18% the ambiguous word is a name, in 18% it is not, in 64% it does not occur."""
    share = rng.random()
    if share < 0.18:
        return rng.choice(NAME_PATTERNS)
    if share < 0.36:
        own = [opening for opening in OPENINGS if part == "train" and opening.split()[0] == word]
        return rng.choice(own) if own and rng.random() < 0.4 else rng.choice(WORD_PATTERNS)
    return rng.choice(UNSEEN_PATTERNS if part == "test" and rng.random() < 0.5 else PATTERNS)


_SLOT = re.compile(r"\{(\w+)\}(\S*)")


def _fill(pattern: str, draw: _Draw) -> Marked:
    """Return the words of a pattern with its slots filled, including slots inside the inserted words."""
    marked: Marked = []
    for token in pattern.split():
        match = _SLOT.fullmatch(token)
        if match is None:
            marked.append((token, OTHER))
            continue
        slot, tail = match.groups()
        filled = _SLOTS[slot](draw) if slot in _SLOTS else _word(slot, draw)
        marked += [*filled[:-1], (filled[-1][0] + tail, filled[-1][1])]
    return marked


def _word(slot: str, draw: _Draw) -> Marked:
    if slot in ("thing", "things") and draw.rng.random() < 0.12:
        return [(_invent(draw).lower() + "s" * (slot == "things"), OTHER)]
    return _fill(draw.rng.choice(WORDS[slot]), draw)


def _first(draw: _Draw) -> Marked:
    return [(_invent(draw) if draw.rng.random() < 0.2 else draw.rng.choice(FIRST[draw.part]), NAME)]


def _last(draw: _Draw) -> Marked:
    return [(_invent(draw) if draw.rng.random() < 0.25 else draw.rng.choice(LAST[draw.part]), NAME)]


def _initial(draw: _Draw) -> Marked:
    return [(draw.rng.choice("ABCDEFGHJKLMNPRSTVW") + ".", NAME)]


def _full(draw: _Draw) -> Marked:
    """Return a first name and a surname; sometimes with a middle name or initial, or with only an initial."""
    share = draw.rng.random()
    if share < 0.06:
        return _first(draw) + _initial(draw) + _last(draw)
    if share < 0.1:
        return _initial(draw) + _last(draw)
    if share < 0.14:
        return _first(draw) + _first(draw) + _last(draw)
    return _first(draw) + _last(draw)


def _titled(draw: _Draw) -> Marked:
    title: Marked = [(draw.rng.choice(WORDS["title"]), OTHER)]
    return title + (_full(draw) if draw.rng.random() < 0.4 else _last(draw))


def _any(draw: _Draw) -> Marked:
    share = draw.rng.random()
    return _full(draw) if share < 0.5 else _first(draw) if share < 0.8 else _titled(draw)


def _place(draw: _Draw) -> Marked:
    """Return a city or country, an invented place, or a street. A street may have the name of a person."""
    share = draw.rng.random()
    if share < 0.25:
        return [(_invent(draw), OTHER)]
    if share < 0.4:
        return [(_coined(draw), OTHER), (draw.rng.choice(WORDS["spot"]), OTHER)]
    return _word("city", draw)


def _org(draw: _Draw) -> Marked:
    """Return a company. An invented name or the name of a founder gets a second word that marks a company."""
    if draw.rng.random() < 0.4:
        return _word("firm", draw)
    return [(_coined(draw), OTHER), (draw.rng.choice(WORDS["tail"]), OTHER)]


def _coined(draw: _Draw) -> str:
    """Return the first word of the name of a company or a street."""
    share = draw.rng.random()
    if share < 0.4:
        return _invent(draw)
    return draw.rng.choice(LAST[draw.part] if share < 0.7 else WORDS["firm"])


_SLOTS: dict[str, Callable[[_Draw], Marked]] = {
    "full": _full,
    "first": _first,
    "last": _last,
    "titled": _titled,
    "any": _any,
    "place": _place,
    "org": _org,
    "num": lambda draw: [(str(draw.rng.randint(2, 99)), OTHER)],
    "year": lambda draw: [(str(draw.rng.randint(1850, 2030)), OTHER)],
    "Name": lambda draw: [(draw.word, NAME)],
    "Word": lambda draw: [(draw.word, OTHER)],
    "word": lambda draw: [(draw.word.lower(), OTHER)],
    "heads": lambda draw: [(draw.rng.choice(draw.heads), OTHER)],
}

_ONSETS = words("b br d dr g gl gr h j l m n p pr r s st t th tr v w z")
_VOWELS = words("a e i o u ai ei")
_CODAS = words("l n r m nd ld rn")


def _invent(draw: _Draw) -> str:
    """Return a random capitalised word of two or three syllables. It is in no list, and only in this part."""
    while True:
        syllables = (
            draw.rng.choice(_ONSETS) + draw.rng.choice(_VOWELS) for _ in range(draw.rng.choice((2, 2, 3)))
        )
        word = "".join(syllables) + draw.rng.choice([*_CODAS, ""])
        part = "test" if zlib.crc32(word.encode()) % 4 == 0 else "train"
        if part == draw.part and word not in _listed():
            return word.capitalize()


@cache
def _listed() -> frozenset[str]:
    """Return all words of the lists in lower case, and the reserved words of the lecture."""
    lists = chain(*FIRST.values(), *LAST.values(), *WORDS.values(), *map(_ambiguous, PARTS))
    return KEPT | {word.lower() for entry in lists for word in entry.split()}


@cache
def _ambiguous(part: str) -> dict[str, list[str]]:
    """Return the ambiguous words, each with the plural nouns that follow it if it is not a name."""
    return {word: heads.split() for word, heads in (entry.split(":") for entry in AMBIGUOUS[part])}


_SPEECH = ("He said,", "She said,", "They wrote,", "I heard:", "It is true:", "Well,")


def _dress(rng: random.Random, marked: Marked) -> Marked:
    """Finish a sentence: first capital, "an" before vowels, sometimes an introduction, punctuation."""
    row, tags = [word for word, _ in marked], [tag for _, tag in marked]
    row[0] = row[0][0].upper() + row[0][1:]
    share, quoted = rng.random(), False
    if share < 0.1:
        speech = rng.choice(_SPEECH).split()
        row, tags, quoted = speech + row, [OTHER] * len(speech) + tags, share < 0.02
        if quoted:
            row[len(speech)] = '"' + row[len(speech)]
    for i, word in enumerate(row[:-1]):
        if word == "a" and row[i + 1][0].lower() in "aeiou":
            row[i] = "an"
    if row[-1][-1] not in "?.":
        row[-1] += rng.choices((".", "", "!"), (0.7, 0.22, 0.08))[0]
    row[-1] += '"' * quoted
    if rng.random() < 0.03:
        row = [word.lower() for word in row]
    return list(zip(row, tags, strict=True))
