"""The report of `check` on texts for language models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.analysis.check.findings import SIZES, Findings, in_quantiles, look_at_text, places, quantiles
from unrolled.core.config import Config
from unrolled.core.errors import UnrolledError, UsageError
from unrolled.core.types import Document, Place
from unrolled.data.readers import read_documents
from unrolled.data.text.token_counter import Coverage, TokenCounter
from unrolled.data.text.tokenize import split
from unrolled.data.text.vocabulary import Vocabulary
from unrolled.datasets.text_dataset import SMALLEST, left_out
from unrolled.tasks.fill import resolve_data

LONG_LINE = 10_000  # characters: longer than any sentence
REMEMBERED = 2_000_000  # lines whose repetition is looked for


@dataclass
class Seen:
    """What was seen on the way through the text."""

    lengths: list[int] = field(default_factory=list)  # tokens of each document
    documents: int = 0
    lines: int = 0
    blank: int = 0
    characters: int = 0
    findings: Findings = field(default_factory=Findings)
    digests: set[bytes] = field(default_factory=set)  # of lines


def check(config: Config, paths: tuple[Path, ...]) -> dict[str, Any]:
    """A report on the files as plain JSON values; `fatal` names what would keep training from starting, or None.

    Raises UsageError where a file is not there at all.
    """
    config = resolve_data(config)
    unit, lower = config.data.unit or "char", config.data.lower
    seen = Seen()
    documents = read_documents(paths, config.data.documents or "file", config.data.encoding)
    report: dict[str, Any] = {
        "task": config.task,
        "unit": unit,
        "documents_are": config.data.documents,
        "passed_over": left_out(paths),
        "fatal": None,
    }
    with TokenCounter() as counter:
        try:
            for tokens in _look(documents, seen, unit, lower):
                counter.add(tokens)
        except UsageError:
            raise
        except UnrolledError as error:
            report["fatal"] = str(error)
        if not seen.characters:
            return report
        vocabulary, coverage = counter.vocabulary(max(*SIZES, config.data.vocab_size))
    return report | _summary(seen, vocabulary, coverage, config)


def _look(documents: Iterable[Document], seen: Seen, unit: str, lower: bool) -> Iterator[list[str]]:
    """The tokens of each piece, with all that is odd noted on the way."""
    length = 0
    file, line = None, 1  # where the next line is expected; readers of lines and blocks pass over blank ones
    for document in documents:
        line = line if document.place.file == file else 1
        seen.blank += document.place.line - line if document.first else 0
        seen.lines += document.place.line - line if document.first else 0
        lines = document.text.removesuffix("\n").split("\n") if document.text else []
        for offset, line in enumerate(lines):
            _look_at_line(line, Place(document.place.file, document.place.line + offset), seen)
        seen.lines += len(lines)
        file, line = document.place.file, document.place.line + len(lines)
        seen.characters += len(document.text)
        tokens = split(document.text, unit, lower)
        length += len(tokens)
        if document.last:
            seen.documents += 1
            seen.lengths.append(length)
            length = 0
        yield tokens


def _look_at_line(line: str, place: Place, seen: Seen) -> None:
    stripped = line.strip()
    if not stripped:
        seen.blank += 1
        return
    if len(line) > LONG_LINE:
        seen.findings.odd("very long line", place, f"{len(line):,} characters")
    look_at_text(line, place, seen.findings)
    if len(seen.digests) < REMEMBERED:
        digest = hashlib.blake2b(stripped.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if digest in seen.digests:
            seen.findings.odd("line that stands there more than once", place, stripped[:60])
        seen.digests.add(digest)


def _summary(seen: Seen, vocabulary: Vocabulary, coverage: Coverage, config: Config) -> dict[str, Any]:
    counts = np.array(vocabulary.counts)
    size = config.data.vocab_size
    unknown = {str(n): 1 - float(counts[:n].sum()) / coverage.tokens for n in sorted({*SIZES, size})}
    held_out = config.data.hold_out if seen.characters >= SMALLEST else 0.0
    return {
        "documents": seen.documents,
        "lines": seen.lines,
        "blank_lines": seen.blank,
        "characters": seen.characters,
        "tokens": coverage.tokens,
        "distinct_tokens": coverage.types,
        "seen_once": int((counts == 1).sum()) if len(counts) == coverage.types else None,
        "vocab_size": size,
        "unknown_share": unknown,
        "held_out_share": held_out,
        "tokens_a_document": quantiles(seen.lengths),
        "most_frequent": list(vocabulary.tokens[:10]),
        "odd": seen.findings.report(),
    }


def in_words(report: dict[str, Any]) -> str:
    """The report for people."""
    lines: list[str] = [*report["passed_over"]]
    if "tokens" in report:
        lines += [
            f"{report['documents']:,} documents (a {report['documents_are']} each), {report['lines']:,} lines "
            f"({report['blank_lines']:,} blank), {report['characters']:,} characters",
            f"{report['tokens']:,} tokens ({report['unit']}), {report['distinct_tokens']:,} distinct; the most "
            "frequent: " + " ".join(repr(token) for token in report["most_frequent"]),
            "tokens a document: " + in_quantiles(report["tokens_a_document"]) + " (shortest to longest)",
            "<UNK> with a vocabulary of "
            + ", ".join(f"{int(n):,}: {share:.2%}" for n, share in report["unknown_share"].items()),
            f"the last {report['held_out_share']:.0%} of the text would be held out for validation (unless --valid)"
            if report["held_out_share"]
            else "nothing would be held out for validation",
        ]
        for kind, found in report["odd"].items():
            lines.append(f"odd: {kind}: {found['count']:,}")
            lines += places(found)
        if not report["odd"]:
            lines.append("nothing odd")
    lines.append(f"fatal: {report['fatal']}" if report["fatal"] else "training would start")
    return "\n".join(lines)
