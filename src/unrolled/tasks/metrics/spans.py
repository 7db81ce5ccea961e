"""Spans in tags (names, chunks): find them in BIO, BIOES and IOB1 tags, and compute precision, recall and F1.

`data/text/span_tags.py` says what a tag looks like. BIO, also called IOB2: B- begins a span, I- goes on with it.
BIOES, also IOBES, BILOU and BMES: E- ends a span of several tokens and S- is a span of one. IOB1 (Ramshaw and Marcus,
cmp-lg/9505040): I- begins a span as well, and B- only separates two neighbours of one type.

One rule finds the spans of all of them, well formed or not, and is that of conlleval (Tjong Kim Sang and Buchholz,
CoNLL-2000): I- or E- goes on with the span of a B- or I- of its own type just before it; any other tag with one of
the letters begins a span. So an I- without its B- begins one. What is no such tag is outside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple

from unrolled.core.errors import DataError, UsageError
from unrolled.data.text import span_tags
from unrolled.data.text.span_tags import Style, goes_on, may_end, may_follow, style_of

SCHEMES = tuple(span_tags.SCHEMES)

_NONE = span_tags.OUTSIDE  # as if before the first tag and after the last
_PLAIN = Style()


class Span(NamedTuple):
    """A span of tokens [start, end) and its type; "" where the tags name none."""

    type: str
    start: int
    end: int


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of one sentence's tags, in order, by the rule above; none where the tags are plain classes."""
    found: list[Span] = []
    before, start = _NONE, 0
    for i, after in enumerate(chain(map(_parts, tags), [_NONE])):
        if goes_on(before, after):
            before = after
            continue
        if before[0] != "O":
            found.append(Span(before[1], start, i))
        before, start = after, i
    return found


def tags_of(found: Iterable[Span], length: int, scheme: str, style: Style = _PLAIN) -> tuple[str, ...]:
    """The tags of these spans in a sentence of so many tokens, written in this style.

    `spans` gives the same spans back. Raises UsageError for the scheme "none", which has no spans, and for another
    that is unknown; DataError where spans overlap, are empty or leave the sentence.
    """
    if scheme not in SCHEMES[:-1]:
        raise UsageError(f"no spans in the tagging scheme '{scheme}'", expected=", ".join(SCHEMES[:-1]))
    tags, last = [style.outside] * length, Span("", 0, 0)
    for span in sorted(found, key=lambda span: span.start):
        if not last.end <= span.start < span.end <= length:
            what = f"span {span.start} to {span.end} after one that ends at {last.end}, in {length} tokens"
            raise DataError(what, expected="spans that are not empty and do not overlap")
        touches = last.end == span.start and last.end > 0 and last.type == span.type
        letters = ["B"] + ["I"] * (span.end - span.start - 1)
        if scheme == "iob1" and not touches:
            letters[0] = "I"
        elif scheme == "bioes":
            letters[-1] = "S" if len(letters) == 1 else "E"
        tags[span.start : span.end] = [style.tag(letter, span.type) for letter in letters]
        last = span
    return tuple(tags)


def convert(tags: Sequence[str], scheme: str, style: Style | None = None) -> tuple[str, ...]:
    """The same spans in another scheme, malformed ones set right; what is no tag of a span becomes `O`.

    style: how tags are written; None: as these are.
    """
    return tags_of(spans(tags), len(tags), scheme, style_of(tags) if style is None else style)


def convert_known(tags: Sequence[str], scheme: str, style: Style | None = None) -> tuple[str, ...]:
    """As `convert`, but what is no tag of a span stays as it is."""
    pairs = zip(tags, convert(tags, scheme, style), strict=True)
    return tuple(old if span_tags.parts(old) is None else new for old, new in pairs)


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """Which scheme the tags of these sentences follow: "bio", "bioes", "iob1" or "none" (plain classes).

    "none" if a tag is neither `O` nor a letter with a type nor a bare letter, if there are no spans at all, or if
    letters stand bare and B is not among them with I or E (so a class named S is no span).  "bioes" if E, S, L or U
    occurs.  Else by where spans begin without a neighbour of their type: "bio" if at least as often with B- as with I-.
    """
    kinds, by_b, by_i = set[str](), 0, 0
    for tags in sentences:
        kinds.update(tags)
        before = _NONE
        for after in map(_parts, tags):
            if before[0] == "O" or before[1] != after[1]:
                by_b += after[0] == "B"
                by_i += after[0] == "I"
            before = after
    kinds = {tag for tag in kinds if span_tags.parts(tag) != span_tags.OUTSIDE}
    parts = {_parts(tag) for tag in kinds}
    bare = {_parts(tag)[0] for tag in kinds if len(tag) == 1}
    segments = "B" in bare and bare & {"I", "E"}
    if not parts or any(letter == "O" for letter, _ in parts) or (bare and not segments):
        return "none"
    if any(letter in "ES" for letter, _ in parts):
        return "bioes"
    return "bio" if by_b >= by_i else "iob1"


def find_bad(tags: Sequence[str], scheme: str) -> list[tuple[int, str]]:
    """The tags of one sentence that break the scheme: index and reason, in order; nothing for "none".

    They are exactly what `decoding.crf.constraints` forbids. Raises UsageError for an unknown scheme.
    """
    if scheme not in SCHEMES:
        raise UsageError(f"unknown tagging scheme '{scheme}'", expected=", ".join(SCHEMES))
    if scheme == "none":
        return []
    bad: list[tuple[int, str]] = []
    before = _NONE
    for i, (tag, following) in enumerate(zip_longest(tags, tags[1:], fillvalue="O")):
        here = _parts(tag)
        if reason := _fault(tag, before, here, _parts(following), scheme):
            bad.append((i, reason))
        before = here
    return bad


@dataclass(frozen=True)
class Counts:
    """How many spans are true, how many were predicted, and how many of these are right. Shares of nothing are 0."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    @property
    def precision(self) -> float:
        """The share of the predicted that is right."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of the true ones that were found."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.correct / (self.gold + self.predicted) if self.correct else 0.0


@dataclass(frozen=True)
class SpanTally:
    """The counts of each type, in the order of their names; a span is right where type, start and end agree."""

    types: Mapping[str, Counts]

    @property
    def overall(self) -> Counts:
        """All types together: its f1 is the usual (micro) entity F1."""
        every = self.types.values()
        gold, predicted = sum(one.gold for one in every), sum(one.predicted for one in every)
        return Counts(gold, predicted, sum(one.correct for one in every))

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the types that are true or predicted anywhere, each counting alike."""
        return _mean([one.f1 for one in self.types.values()])


def tally(gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> SpanTally:
    """Compare sentence by sentence true tags and predicted ones. Raises DataError where they are not as many."""
    true, guessed, both = Counter[str](), Counter[str](), Counter[str]()
    for ours, theirs in _aligned(gold, predicted):
        here, there = spans(ours), spans(theirs)
        true.update(span.type for span in here)
        guessed.update(span.type for span in there)
        both.update(span.type for span in set(here) & set(there))
    kinds = sorted({*true, *guessed})
    return SpanTally({kind: Counts(true[kind], guessed[kind], both[kind]) for kind in kinds})


def surface(
    tokens: Iterable[Sequence[str]], gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]
) -> Counts:
    """Compare which names were found at all: the sets of distinct (type, text) of all sentences together.

    The text is the tokens with a space between, letter case kept. A name that occurs often counts once: the second
    measure of WNUT-17 (Derczynski et al., W17-4418, "F1 (surface)"). Raises DataError as `tally`.
    """
    true, guessed = set[tuple[str, str]](), set[tuple[str, str]]()
    for number, (words, tags) in enumerate(zip_longest(tokens, _aligned(gold, predicted)), 1):
        if words is None or tags is None:
            raise DataError(f"sentence {number} has no {'tokens' if words is None else 'tags'}")
        if len(words) != len(tags[0]):
            raise DataError(f"sentence {number} has {len(words)} tokens and {len(tags[0])} tags")
        for forms, sequence in zip((true, guessed), tags, strict=True):
            forms.update((kind, " ".join(words[start:end])) for kind, start, end in spans(sequence))
    return Counts(len(true), len(guessed), len(true & guessed))


def surface_f1(
    tokens: Iterable[Sequence[str]], gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]
) -> float:
    """The F1 of `surface`, 0 to 1."""
    return surface(tokens, gold, predicted).f1


def _parts(tag: str) -> tuple[str, str]:
    """A tag's letter, one of B I E S, and its type; O where it is outside or no tag of a span."""
    return span_tags.parts(tag) or _NONE


def _fault(
    tag: str, before: tuple[str, str], here: tuple[str, str], after: tuple[str, str], scheme: str
) -> str | None:
    """What is wrong with a tag between its neighbours, or None."""
    letter, kind = here
    if span_tags.parts(tag) is None or letter not in span_tags.SCHEMES[scheme] + "O":
        return f"'{tag}' is not a tag of the scheme {scheme}"
    written = style_of([tag])
    begin, end = written.tag("B", kind), written.tag("E", kind)
    if scheme == "iob1":
        parted = may_follow(before, here, scheme)
        return None if parted else f"'{tag}' parts no two spans of its type"
    if letter in "IE" and not may_follow(before, here, scheme):
        return f"'{tag}' has no '{begin}' before it"
    if not may_end(here, scheme) and not may_follow(here, after, scheme):
        return f"'{tag}' is not closed by '{end}'"
    return None


def _aligned(
    gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Both sentence by sentence, of equal lengths."""
    for number, (ours, theirs) in enumerate(zip_longest(gold, predicted), 1):
        if ours is None or theirs is None:
            raise DataError(f"sentence {number} has no {'true' if ours is None else 'predicted'} tags")
        if len(ours) != len(theirs):
            raise DataError(f"sentence {number} has {len(ours)} true and {len(theirs)} predicted tags")
        yield ours, theirs


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
