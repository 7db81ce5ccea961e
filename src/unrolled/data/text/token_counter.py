"""Count tokens exactly, in one pass and in bounded memory.

Above a limit of distinct tokens, the counts are written to disk as sorted runs, which are merged at the end.
Tokens with equal counts are ordered by code point, so the same text always gives the same ids.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from unrolled.core.atomic_files import storage_error, temporary_folder
from unrolled.core.errors import UsageError
from unrolled.data.text.vocabulary import Vocabulary

_RUNS = 64  # maximum sorted runs that are merged at once; far below the usual limit of 1,024 open files


@dataclass(frozen=True)
class Coverage:
    """How much of a text its vocabulary contains."""

    types: int  # distinct tokens of the text
    tokens: int  # all tokens of the text
    kept: int  # distinct tokens in the vocabulary
    known: int  # tokens of the text that are in the vocabulary

    @property
    def unknown(self) -> float:
        """The fraction of the tokens that become `<UNK>`, 0 to 1."""
        return 1 - self.known / self.tokens if self.tokens else 0.0


class TokenCounter:
    """Counts tokens exactly in one pass.

    It is a context manager, because it must remove its files at the end.

    limit: maximum distinct tokens in memory, about 110 bytes each.
    folder: where further counts are written; None: the system's temporary folder.

    Raises StorageError if a file cannot be written or read.
    """

    def __init__(self, limit: int = 500_000, folder: Path | None = None) -> None:
        self._limit, self._parent = limit, folder
        self._counts: Counter[str] = Counter()
        self._temporary = ExitStack()
        self._folder: Path | None = None
        self._runs: list[Path] = []
        self._names = itertools.count()

    def __enter__(self) -> TokenCounter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files of sorted runs."""
        self._temporary.close()
        self._folder, self._runs = None, []

    def add(self, tokens: Iterable[str]) -> None:
        """Count tokens."""
        self._counts.update(tokens)
        self._spill()

    def add_counts(self, counts: Mapping[str, int]) -> None:
        """Add existing counts of tokens."""
        self._counts.update(counts)
        self._spill()

    def vocabulary(self, size: int) -> tuple[Vocabulary, Coverage]:
        """Return the vocabulary of the `size` most frequent tokens, and its coverage of the text.

        `<UNK>` and `<EOS>` are added to the `size` tokens. Ties are ordered by code point.
        Raises UsageError if `size` is less than 1.
        """
        if size < 1:
            raise UsageError(f"vocabulary size {size}", expected="1 or more")
        types = tokens = 0

        def tally() -> Iterator[tuple[int, str]]:
            nonlocal types, tokens
            for token, count in self._merged():
                types += 1
                tokens += count
                yield -count, token

        best = heapq.nsmallest(size, tally())
        vocabulary = Vocabulary(tuple(token for _, token in best), tuple(-count for count, _ in best))
        return vocabulary, Coverage(types, tokens, len(best), sum(vocabulary.counts))

    def _merged(self) -> Iterator[tuple[str, int]]:
        """Yield each distinct token once with its count; in code point order if there are runs on disk."""
        if not self._runs:
            return iter(self._counts.items())
        return _sum(heapq.merge(*map(_read_run, self._runs), sorted(self._counts.items())))

    def _spill(self) -> None:
        if len(self._counts) <= self._limit:
            return
        try:
            if self._folder is None:
                self._folder = self._temporary.enter_context(temporary_folder(self._parent))
            self._runs.append(self._write_run(sorted(self._counts.items())))
            self._counts = Counter()
            if len(self._runs) == _RUNS:
                old, self._runs = self._runs, []
                self._runs.append(self._write_run(_sum(heapq.merge(*map(_read_run, old)))))
                for run in old:
                    run.unlink()
        except OSError as error:
            raise storage_error(error, self._folder or self._parent or Path("temporary files")) from error

    def _write_run(self, items: Iterable[tuple[str, int]]) -> Path:
        assert self._folder is not None
        run = self._folder / str(next(self._names))
        with run.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
            file.writelines(f"{_escape(token)} {count}\n" for token, count in items)
        return run


def _read_run(run: Path) -> Iterator[tuple[str, int]]:
    with run.open(encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        for line in file:
            token, _, count = line.rpartition(" ")
            yield _unescape(token), int(count)


def _sum(items: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Add up the counts of equal tokens in sorted (token, count) pairs."""
    last, total = None, 0
    for token, count in items:
        if token != last:
            if last is not None:
                yield last, total
            last, total = token, 0
        total += count
    if last is not None:
        yield last, total


def _escape(token: str) -> str:
    return token.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(token: str) -> str:
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], token) if "\\" in token else token
