"""Build the report of `check` on texts for language models, as JSON values and as text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unrolled.analysis.check.findings import SIZES, Findings, in_quantiles, places, quantiles
from unrolled.analysis.check.odd_characters import look_at_text
from unrolled.analysis.check.stats.report_types import TextReport, UnreadTextReport
from unrolled.core.config import Config
from unrolled.core.errors import UnrolledError, UsageError
from unrolled.core.terminal import escaped
from unrolled.core.types import Document, Place
from unrolled.data.readers import read_documents
from unrolled.data.text.spaceless import without_spaces
from unrolled.data.text.token_counter import Coverage, TokenCounter
from unrolled.data.text.tokenize import of_characters, split
from unrolled.data.text.vocabulary import Vocabulary
from unrolled.datasets.text_dataset import SMALLEST, left_out
from unrolled.tasks.fill import resolve_data
from unrolled.tasks.text_unit import SAMPLE

LONG_LINE = 10_000  # characters: no sentence is longer
REMEMBERED = 2_000_000  # lines that are searched for repeats
SAMPLED = 100_000  # characters of a document that are tested for spaces between words


@dataclass
class Seen:
    """Counts and findings of the scan of a text."""

    lengths: list[int] = field(default_factory=list)  # tokens of each document
    documents: int = 0
    lines: int = 0
    blank: int = 0
    characters: int = 0
    findings: Findings = field(default_factory=Findings)
    digests: set[bytes] = field(default_factory=set)  # digests of the lines so far
    sample: list[str] = field(default_factory=list)  # the beginnings of the first documents


def check(config: Config, paths: tuple[Path, ...]) -> UnreadTextReport | TextReport:
    """Return a report on the files as JSON values.

    `fatal` is the error with which training would stop, or None. Raises UsageError if a file does not exist.
    """
    config = resolve_data(config)
    unit, lower = config.data.unit or "char", config.data.lower
    seen = Seen()
    documents = read_documents(paths, config.data.documents or "file", config.data.encoding)
    report: UnreadTextReport = {
        "task": config.task,
        "unit": unit,
        "documents_are": config.data.documents,
        "passed_over": (),
        "fatal": None,
    }
    with TokenCounter() as counter:
        try:
            report["passed_over"] = left_out(paths)
            for tokens in _look(documents, seen, unit, lower):
                counter.add(tokens)
        except UsageError:
            raise
        except UnrolledError as error:
            report["fatal"] = str(error)
        if not seen.characters:
            return report
        vocabulary, coverage = counter.vocabulary(max(*SIZES, config.data.vocab_size))
    if not of_characters(unit) and without_spaces(seen.sample):
        once = sum(count == 1 for count in vocabulary.counts)
        told = f"{once:,} of {coverage.types:,} tokens occur once; try --unit char"
        seen.findings.odd("text without spaces between words", Place(paths[0], 1), told)
    return _whole(report, seen, vocabulary, coverage, config)


@dataclass
class _Line:
    """A line while it is read, perhaps in several pieces. beginning: its first LONG_LINE characters."""

    place: Place
    length: int = 0
    beginning: str = ""
    digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=8))

    def add(self, part: str, seen: Seen) -> None:
        """Add the next piece of the line."""
        self.length += len(part)
        self.beginning += part[: LONG_LINE - len(self.beginning)]
        if self.length > LONG_LINE:
            self.digest.update(part.encode("utf-8", "surrogatepass"))
        if part and not part.isspace():
            look_at_text(part, self.place, seen.findings)

    def end(self, seen: Seen) -> None:
        """Count the complete line, and add findings if it is very long or a repeat."""
        seen.lines += 1
        stripped = self.beginning.strip()
        if not stripped and self.length <= LONG_LINE:
            seen.blank += 1
            return
        if self.length > LONG_LINE:
            seen.findings.odd("very long line", self.place, f"{self.length:,} characters")
        if len(seen.digests) < REMEMBERED:
            self.digest.update(stripped.encode("utf-8", "surrogatepass"))
            digest = self.digest.digest()
            if digest in seen.digests:
                seen.findings.odd("repeated line", self.place, stripped[:60])
            seen.digests.add(digest)


def _look(documents: Iterable[Document], seen: Seen, unit: str, lower: bool) -> Iterator[list[str]]:
    """Yield the tokens of each piece of the documents. Add counts and findings to `seen`."""
    length = 0
    file, number = (
        None,
        1,
    )  # the expected place of the next line; readers of lines and blocks skip blank lines
    line: _Line | None = None  # a line that continues in the next piece
    for document in documents:
        number = number if document.place.file == file else 1
        passed = document.place.line - number if document.first else 0
        seen.blank, seen.lines = seen.blank + passed, seen.lines + passed
        file, number = document.place.file, document.place.line
        parts = document.text.split("\n")
        for part in parts[:-1]:
            line = line or _Line(Place(file, number))
            line.add(part, seen)
            line.end(seen)
            line, number = None, number + 1
        if parts[-1]:
            line = line or _Line(Place(file, number))
            line.add(parts[-1], seen)
        if document.last and line is not None:
            line.end(seen)
            line, number = None, number + 1
        seen.characters += len(document.text)
        seen.sample += [document.text[:SAMPLED]] * (len(seen.sample) < SAMPLE)
        tokens = split(document.text, unit, lower)
        length += len(tokens)
        if document.last:
            seen.documents += 1
            seen.lengths.append(length)
            length = 0
        yield tokens


def _whole(
    report: UnreadTextReport, seen: Seen, vocabulary: Vocabulary, coverage: Coverage, config: Config
) -> TextReport:
    """Return the complete report, with the counts and findings of the scan."""
    counts = np.array(vocabulary.counts)
    size = config.data.vocab_size
    unknown = {str(n): 1 - float(counts[:n].sum()) / coverage.tokens for n in sorted({*SIZES, size})}
    held_out = config.data.hold_out if seen.characters >= SMALLEST else 0.0
    return {
        **report,
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


def in_words(report: UnreadTextReport | TextReport) -> str:
    """Return the report as text."""
    lines: list[str] = [*report["passed_over"]]
    if "documents" in report:
        lines += [
            f"{report['documents']:,} documents (--documents {report['documents_are']}), "
            f"{report['lines']:,} lines ({report['blank_lines']:,} blank), "
            f"{report['characters']:,} characters",
            f"{report['tokens']:,} tokens ({report['unit']}), {report['distinct_tokens']:,} distinct; "
            "the most frequent: " + " ".join(repr(token) for token in report["most_frequent"]),
            "tokens per document: " + in_quantiles(report["tokens_a_document"]) + " (shortest to longest)",
            "<UNK> with a vocabulary of "
            + ", ".join(f"{int(n):,}: {share:.2%}" for n, share in report["unknown_share"].items()),
            f"the last {report['held_out_share']:.0%} of the text would be held out for validation without --valid"
            if report["held_out_share"]
            else "nothing would be held out for validation",
        ]
        for kind, found in report["odd"].items():
            lines.append(f"odd: {kind}: {found['count']:,}")
            lines += places(found)
        if not report["odd"]:
            lines.append("nothing odd")
    lines.append(f"fatal: {report['fatal']}" if report["fatal"] else "training would start")
    return escaped("\n".join(lines))
