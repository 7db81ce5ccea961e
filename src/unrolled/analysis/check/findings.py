"""Findings of `check`: the count of each problem, and the first places where it was found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np

from unrolled.core.types import Floats, Place

SIZES = (1_000, 10_000, 50_000)  # vocabulary sizes for which the report has the fraction of <UNK>
SHOWN = 5  # places of each finding in the text report
REMEMBERED = 1_000_000  # sequences that are searched for duplicates: about 200 MB


class NoteReport(TypedDict):
    """A finding as JSON: its count, and its first places."""

    count: int
    examples: list[str]


@dataclass
class Occurrences:
    """One kind of finding: its count and its first `keep` places, each with a detail."""

    keep: int = SHOWN
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, place: Place, detail: str = "") -> None:
        """Count one more place, and keep it if there are fewer than `keep`."""
        self.count += 1
        if len(self.examples) < self.keep:
            self.examples.append(f"{place}" + (f": {detail}" if detail else ""))

    def report(self) -> NoteReport:
        """Return the JSON values."""
        return {"count": self.count, "examples": self.examples}


@dataclass
class Findings:
    """All findings. The key of `kinds` is the text of the finding, which the report shows."""

    keep: int = SHOWN
    kinds: dict[str, Occurrences] = field(default_factory=dict)

    def odd(self, kind: str, place: Place, detail: str = "") -> None:
        """Count a finding of this kind, and keep its first `keep` places."""
        self.kinds.setdefault(kind, Occurrences(self.keep)).add(place, detail)

    def report(self) -> dict[str, NoteReport]:
        """Return the JSON values, in the order in which the kinds were first found."""
        return {kind: note.report() for kind, note in self.kinds.items()}


def quantiles(lengths: Iterable[int]) -> dict[str, int]:
    """Return the quantiles 0% (shortest), 5%, 25%, 50%, 75%, 95% and 100% (longest) by name.

    Each value is a length that occurs. All are 0 if there are no lengths.
    """
    found = np.fromiter(lengths, dtype=np.int64)
    found = found if len(found) else np.zeros(1, np.int64)
    shares = (0, 5, 25, 50, 75, 95, 100)
    return {str(q): int(np.percentile(found, q, method="nearest")) for q in shares}


def in_quantiles(found: dict[str, int]) -> str:
    """Return quantiles as text."""
    return ", ".join(f"{q}% {n:,}" for q, n in found.items())


def places(note: NoteReport) -> list[str]:
    """Return the first places of a finding as lines of text."""
    return [f"  {example}" for example in note["examples"][:SHOWN]]


@dataclass
class Memory:
    """Index of at most `limit` sequences by content: for each x, its first place and its y there.

    Contents are compared by digests of 128 bits, so that a collision is practically impossible.
    """

    limit: int = REMEMBERED
    files: list[Path] = field(default_factory=list)
    first: dict[bytes, int] = field(
        default_factory=dict
    )  # digest of x -> y, file and line of its first place, packed into one integer
    pairs: set[bytes] = field(default_factory=set)  # digests of (x, y) of repeated x with another y

    def find(self, x: object) -> Place | None:
        """Return the first place of this x. None: it was not added."""
        value = self.first.get(_digest(x))
        return None if value is None else self._place(value)

    def add(self, x: object, y: object, place: Place) -> tuple[Place | None, bool]:
        """Add a sequence. Return the first place of its x, and whether an earlier one has the same x and y.

        The place is None if this x is new.
        """
        key, target = _digest(x), _digest(y)
        value = self.first.get(key)
        if value is None:
            if len(self.first) < self.limit:
                self.first[key] = self._packed(target, place)
            return None, False
        if value >> 64 == int.from_bytes(target[:8]):
            return self._place(value), True
        pair = _digest(key + target)
        known = pair in self.pairs
        if len(self.pairs) < self.limit:
            self.pairs.add(pair)
        return self._place(value), known

    def _packed(self, target: bytes, place: Place) -> int:
        if not self.files or self.files[-1] != place.file:
            self.files.append(place.file)
        return int.from_bytes(target[:8]) << 64 | (len(self.files) - 1) << 40 | place.line

    def _place(self, value: int) -> Place:
        return Place(self.files[(value >> 40) & 0xFFFFFF], value & (2**40 - 1))


def _digest(content: object) -> bytes:
    """Return a digest [16 bytes] of the content: a text, several texts, an array of any shape, or None."""
    match content:
        case bytes():
            data = b"b" + content
        case str():
            data = b"s" + content.encode("utf-8", "surrogatepass")
        case np.ndarray():
            numbers: Floats = np.ascontiguousarray(content, dtype=np.float64) + 0.0  # turns -0.0 into 0.0
            data = f"n{numbers.shape}".encode() + numbers.tobytes()
        case _:
            data = repr(content).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).digest()
