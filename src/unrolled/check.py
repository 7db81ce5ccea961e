"""The data doctor for text: what training would see, and what in the files is odd, with file and line."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .config import Config
from .errors import UnrolledError, UsageError
from .prepare import SMALLEST
from .readers import READERS
from .tasks import resolve_data
from .text import split
from .types import Document, Place
from .vocab import Coverage, TokenCounter, Vocabulary

SIZES = (1_000, 10_000, 50_000)  # vocabularies whose unknown share is told
SHOWN = 5  # examples of each kind of finding
LONG_LINE = 10_000  # characters: longer than any sentence
REMEMBERED = 2_000_000  # lines whose repetition is looked for


@dataclass
class Findings:
    """What was seen on the way through the text."""

    lengths: list[int] = field(default_factory=list)  # tokens of each document
    documents: int = 0
    lines: int = 0
    blank: int = 0
    characters: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)

    def odd(self, kind: str, place: Place, detail: str = "") -> None:
        """Count a finding, and keep the first few places."""
        self.kinds[kind] += 1
        shown = self.examples.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(f"{place}" + (f": {detail}" if detail else ""))


def check(config: Config, paths: tuple[Path, ...]) -> dict[str, Any]:
    """A report on the files as plain JSON values; `fatal` names what would keep training from starting, or None.

    Raises UsageError where a file is not there at all.
    """
    config = resolve_data(config)
    unit, lower = config.data.unit or "char", config.data.lower
    findings = Findings()
    report: dict[str, Any] = {
        "task": config.task,
        "unit": unit,
        "documents_are": config.data.documents,
        "fatal": None,
    }
    with TokenCounter() as counter:
        try:
            for tokens in _look(
                READERS["text"](paths, config.data.documents or "file"), findings, unit, lower
            ):
                counter.add(tokens)
        except UsageError:
            raise
        except UnrolledError as error:
            report["fatal"] = str(error)
        if not findings.characters:
            return report
        vocabulary, coverage = counter.vocabulary(max(*SIZES, config.data.vocab_size))
    return report | _summary(findings, vocabulary, coverage, config)


def _look(documents: Iterable[Document], findings: Findings, unit: str, lower: bool) -> Iterator[list[str]]:
    """The tokens of each piece, with all that is odd noted on the way."""
    length = 0
    file, line = None, 1  # where the next line is expected; readers of lines and blocks pass over blank ones
    for document in documents:
        line = line if document.place.file == file else 1
        findings.blank += document.place.line - line if document.first else 0
        findings.lines += document.place.line - line if document.first else 0
        lines = document.text.removesuffix("\n").split("\n") if document.text else []
        for offset, line in enumerate(lines):
            _look_at_line(line, Place(document.place.file, document.place.line + offset), findings)
        findings.lines += len(lines)
        file, line = document.place.file, document.place.line + len(lines)
        findings.characters += len(document.text)
        tokens = split(document.text, unit, lower)
        length += len(tokens)
        if document.last:
            findings.documents += 1
            findings.lengths.append(length)
            length = 0
        yield tokens


def _look_at_line(line: str, place: Place, findings: Findings) -> None:
    stripped = line.strip()
    if not stripped:
        findings.blank += 1
        return
    if len(line) > LONG_LINE:
        findings.odd("very long line", place, f"{len(line):,} characters")
    if "\ufffd" in line:
        findings.odd("replacement character (text was decoded wrongly before)", place)
    if "<UNK>" in line or "<EOS>" in line:
        findings.odd("a literal <UNK> or <EOS> (kept as an ordinary token)", place)
    if not line.isprintable():
        control = next((c for c in line if unicodedata.category(c) == "Cc" and c not in "\t\r"), None)
        if control is not None:
            findings.odd("control character", place, f"U+{ord(control):04X}")
    if len(findings.seen) < REMEMBERED:
        digest = hashlib.blake2b(stripped.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if digest in findings.seen:
            findings.odd("line that stands there more than once", place, stripped[:60])
        findings.seen.add(digest)


def _summary(
    findings: Findings, vocabulary: Vocabulary, coverage: Coverage, config: Config
) -> dict[str, Any]:
    lengths = np.array(findings.lengths or [0])
    counts = np.array(vocabulary.counts)
    size = config.data.vocab_size
    unknown = {str(n): 1 - float(counts[:n].sum()) / coverage.tokens for n in sorted({*SIZES, size})}
    held_out = config.data.hold_out if findings.characters >= SMALLEST else 0.0
    return {
        "documents": findings.documents,
        "lines": findings.lines,
        "blank_lines": findings.blank,
        "characters": findings.characters,
        "tokens": coverage.tokens,
        "distinct_tokens": coverage.types,
        "seen_once": int((counts == 1).sum()) if len(counts) == coverage.types else None,
        "vocab_size": size,
        "unknown_share": unknown,
        "held_out_share": held_out,
        "tokens_a_document": {
            str(q): int(np.percentile(lengths, q, method="nearest")) for q in (0, 5, 25, 50, 75, 95, 100)
        },
        "most_frequent": list(vocabulary.tokens[:10]),
        "odd": {
            kind: {"count": n, "examples": findings.examples[kind]} for kind, n in findings.kinds.items()
        },
    }


def in_words(report: dict[str, Any]) -> str:
    """The report for people."""
    lines: list[str] = []
    if "tokens" in report:
        lines += [
            f"{report['documents']:,} documents (a {report['documents_are']} each), {report['lines']:,} lines "
            f"({report['blank_lines']:,} blank), {report['characters']:,} characters",
            f"{report['tokens']:,} tokens ({report['unit']}), {report['distinct_tokens']:,} distinct; the most "
            "frequent: " + " ".join(repr(token) for token in report["most_frequent"]),
            "tokens a document: "
            + ", ".join(f"{q}% {n:,}" for q, n in report["tokens_a_document"].items())
            + " (shortest to longest)",
            "<UNK> with a vocabulary of "
            + ", ".join(f"{int(n):,}: {share:.2%}" for n, share in report["unknown_share"].items()),
            f"the last {report['held_out_share']:.0%} of the text would be held out for validation (unless --valid)"
            if report["held_out_share"]
            else "nothing would be held out for validation",
        ]
        for kind, found in report["odd"].items():
            lines.append(f"odd: {kind}: {found['count']:,}")
            lines += [f"  {example}" for example in found["examples"]]
        if not report["odd"]:
            lines.append("nothing odd")
    lines.append(f"fatal: {report['fatal']}" if report["fatal"] else "training would start")
    return "\n".join(lines)
