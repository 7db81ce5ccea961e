"""Spans in tags (names, chunks): find them in BIO, BIOES and IOB1 tags, and compute precision, recall and F1.

`data/text/span_tags.py` defines the form of a tag. The schemes:

- BIO, also called IOB2: B- begins a span, I- continues it.
- BIOES, also called IOBES, BILOU or BMES: like BIO, but E- ends a span of several tokens, and S- is a span of
  one token.
- IOB1 (Ramshaw and Marcus, cmp-lg/9505040): I- also begins a span, and B- only separates two adjacent spans
  of the same type.

One rule finds the spans in all schemes, also in malformed tags. It is the rule of conlleval (Tjong Kim Sang
and Buchholz, CoNLL-2000): I- or E- continues a span if the previous tag is a B- or I- of the same type. Any
other tag with the letter B, I, E or S begins a span. So an I- without B- also begins a span. All other tags
are outside of spans.
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

_NONE = span_tags.OUTSIDE  # the assumed tag before the first tag and after the last tag
_PLAIN = Style()


class Span(NamedTuple):
    """A span of tokens [start, end) and its type; "" if the tags have no types."""

    type: str
    start: int
    end: int


def spans(tags: Sequence[str]) -> list[Span]:
    """Return the spans of the tags of one sentence, in order, by the rule above.

    There are no spans if the tags are plain classes.
    """
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
    """Return the tags of spans in a sentence of `length` tokens, in this scheme and style.

    `spans` converts the tags back to the same spans.
    Raises UsageError for an unknown scheme and for the scheme "none", which has no spans. Raises DataError if
    spans overlap, are empty, or go beyond the sentence.
    """
    if scheme not in SCHEMES[:-1]:
        raise UsageError(f"no spans in the tagging scheme '{scheme}'", expected=", ".join(SCHEMES[:-1]))
    tags, last = [style.outside] * length, Span("", 0, 0)
    for span in sorted(found, key=lambda span: span.start):
        if not last.end <= span.start < span.end <= length:
            what = f"span {span.start} to {span.end} after a span that ends at {last.end}, in {length} tokens"
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
    """Convert tags to another scheme, with the same spans.

    Malformed tags are corrected. Plain classes become `O`.
    style: how tags are written; None: the style of `tags`.
    """
    return tags_of(spans(tags), len(tags), scheme, style_of(tags) if style is None else style)


def convert_known(tags: Sequence[str], scheme: str, style: Style | None = None) -> tuple[str, ...]:
    """Convert tags like `convert`, but keep plain classes unchanged."""
    pairs = zip(tags, convert(tags, scheme, style), strict=True)
    return tuple(old if span_tags.parts(old) is None else new for old, new in pairs)


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """Return the scheme of the tags of these sentences: "bio", "bioes", "iob1" or "none" (plain classes).

    The rules, in this order:
    - "none" if there are no spans, or if a tag is neither `O`, nor a letter with a type, nor a single letter.
    - "none" if there are single letters, but not B together with I or E. So a class named S is not a span.
    - "bioes" if E, S, L or U occurs.
    - Otherwise look at all spans that do not directly follow a span of their type: "bio" if at least half of
      them begin with B-, else "iob1".
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
    """Return the index and the reason of each tag of a sentence that violates the scheme. Empty for "none".

    `decoding.crf.constraints` forbids exactly these tags. Raises UsageError for an unknown scheme.
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
    """The numbers of true, predicted and correctly predicted spans.

    A fraction with the denominator 0 is 0.
    """

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    @property
    def precision(self) -> float:
        """Fraction of the predicted spans that are correct."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Fraction of the true spans that were found."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.correct / (self.gold + self.predicted) if self.correct else 0.0


@dataclass(frozen=True)
class SpanTally:
    """The counts of each type, sorted by name. A span is correct if type, start and end agree."""

    types: Mapping[str, Counts]

    @property
    def overall(self) -> Counts:
        """The counts over all types. Its f1 is the usual (micro) entity F1."""
        every = self.types.values()
        gold, predicted = sum(one.gold for one in every), sum(one.predicted for one in every)
        return Counts(gold, predicted, sum(one.correct for one in every))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of all types that occur as true or predicted type, with equal weights."""
        return _mean([one.f1 for one in self.types.values()])


def tally(gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> SpanTally:
    """Compare true and predicted tags, sentence by sentence.

    Raises DataError if the counts of tags differ.
    """
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
    """Compare the sets of distinct (type, text) pairs of the true and predicted spans of all sentences.

    The text is the tokens joined with spaces; case matters. A name that occurs several times counts once.
    This is the second metric of WNUT-17 (Derczynski et al., W17-4418, "F1 (surface)").
    Raises DataError if the counts of sentences, tokens or tags differ.
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
    """Return the F1 of `surface`, 0 to 1."""
    return surface(tokens, gold, predicted).f1


def _parts(tag: str) -> tuple[str, str]:
    """Return the letter of a tag (B, I, E or S) and its type.

    The letter is O if the tag is not part of a span.
    """
    return span_tags.parts(tag) or _NONE


def _fault(
    tag: str, before: tuple[str, str], here: tuple[str, str], after: tuple[str, str], scheme: str
) -> str | None:
    """Return why a tag violates the scheme, given its neighbours, or None."""
    letter, kind = here
    if span_tags.parts(tag) is None or letter not in span_tags.SCHEMES[scheme] + "O":
        return f"'{tag}' is not a tag of the scheme {scheme}"
    written = style_of([tag])
    begin, end = written.tag("B", kind), written.tag("E", kind)
    if scheme == "iob1":
        parted = may_follow(before, here, scheme)
        return None if parted else f"'{tag}' does not separate two spans of its type"
    if letter in "IE" and not may_follow(before, here, scheme):
        return f"'{tag}' has no '{begin}' before it"
    if not may_end(here, scheme) and not may_follow(here, after, scheme):
        return f"'{tag}' is not closed by '{end}'"
    return None


def _aligned(
    gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the true and the predicted tags of each sentence. Raises DataError if their lengths differ."""
    for number, (ours, theirs) in enumerate(zip_longest(gold, predicted), 1):
        if ours is None or theirs is None:
            raise DataError(f"sentence {number} has no {'true' if ours is None else 'predicted'} tags")
        if len(ours) != len(theirs):
            raise DataError(f"sentence {number} has {len(ours)} true and {len(theirs)} predicted tags")
        yield ours, theirs


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
