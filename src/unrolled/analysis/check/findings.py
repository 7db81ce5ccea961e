"""Findings of `check`: how often each problem was found, and the first places of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np

from unrolled.core.types import Floats, Place

SIZES = (1_000, 10_000, 50_000)  # vocabularies whose unknown share is told
SHOWN = 5  # places of each kind that a person is shown
REMEMBERED = 1_000_000  # sequences whose repetition is looked for: about 200 MB


class NoteReport(TypedDict):
    """A finding as JSON: how often it was found, and the first places."""

    count: int
    examples: list[str]


@dataclass
class Occurrences:
    """One kind of finding: its count, and the first `keep` places, each with its detail."""

    keep: int = SHOWN
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, place: Place, detail: str = "") -> None:
        """Count one more."""
        self.count += 1
        if len(self.examples) < self.keep:
            self.examples.append(f"{place}" + (f": {detail}" if detail else ""))

    def report(self) -> NoteReport:
        """As JSON values."""
        return {"count": self.count, "examples": self.examples}


@dataclass
class Findings:
    """What is odd, by its kind in words."""

    keep: int = SHOWN
    kinds: dict[str, Occurrences] = field(default_factory=dict)

    def odd(self, kind: str, place: Place, detail: str = "") -> None:
        """Count a finding, and keep the first few places."""
        self.kinds.setdefault(kind, Occurrences(self.keep)).add(place, detail)

    def report(self) -> dict[str, NoteReport]:
        """As JSON values, in the order of the first finding of each kind."""
        return {kind: note.report() for kind, note in self.kinds.items()}


def quantiles(lengths: Iterable[int]) -> dict[str, int]:
    """Shortest, 5%, quartiles, 95% and longest, each a length that occurs; 0 of none."""
    found = np.fromiter(lengths, dtype=np.int64)
    found = found if len(found) else np.zeros(1, np.int64)
    shares = (0, 5, 25, 50, 75, 95, 100)
    return {str(q): int(np.percentile(found, q, method="nearest")) for q in shares}


def in_quantiles(found: dict[str, int]) -> str:
    """Quantiles for people."""
    return ", ".join(f"{q}% {n:,}" for q, n in found.items())


def places(note: NoteReport) -> list[str]:
    """The first places of a reported note as lines for people."""
    return [f"  {example}" for example in note["examples"][:SHOWN]]


@dataclass
class Memory:
    """Sequences by their content: where each x was first, and with which y. Of at most `limit` of them.

    Contents are digests of 128 bits, so that no two differ by chance only.
    """

    limit: int = REMEMBERED
    files: list[Path] = field(default_factory=list)
    first: dict[bytes, int] = field(
        default_factory=dict
    )  # x -> the y, file and line of the first, in one number
    pairs: set[bytes] = field(default_factory=set)  # x and y of those that came again with another y

    def find(self, x: object) -> Place | None:
        """Where this x was first; None: nowhere."""
        value = self.first.get(_digest(x))
        return None if value is None else self._place(value)

    def add(self, x: object, y: object, place: Place) -> tuple[Place | None, bool]:
        """Where this x was first (None: this is the first), and whether it was there with the same y before."""
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
    """[16] bytes of a text, texts, numbers [...] or nothing: the same for the same content only."""
    match content:
        case bytes():
            data = b"b" + content
        case str():
            data = b"s" + content.encode("utf-8", "surrogatepass")
        case np.ndarray():
            numbers: Floats = np.ascontiguousarray(content, dtype=np.float64) + 0.0  # -0.0 is 0.0
            data = f"n{numbers.shape}".encode() + numbers.tobytes()
        case _:
            data = repr(content).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).digest()
