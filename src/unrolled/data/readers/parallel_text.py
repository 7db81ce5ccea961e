"""Read parallel texts: two files (also gzipped) whose lines correspond, for example in two languages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from unrolled.core.errors import DataError, UsageError
from unrolled.core.types import Example, Place
from unrolled.data.read_request import ReadRequest, bad_row_handler
from unrolled.data.records import bare_lines, no_examples, regular_files


def read(paths: Sequence[Path], wanted: ReadRequest) -> Iterator[Example]:
    """Yield the pairs of texts. `paths` alternate: source, target, source, target ...

    x is a line of the source, y the same line of the target. White space around a line is removed. A line
    that is blank in both files is skipped; a line that is blank in only one file is a bad row.

    Raises UsageError for an odd number of files, DataError if one file has more lines than the other, and the
    errors of other readers.
    """
    if len(paths) % 2:
        raise UsageError(
            f"{len(paths)} file{'s' * (len(paths) > 1)} of parallel text",
            expected="pairs of files: SOURCE TARGET",
            hint="a table of two columns (.tsv .csv .jsonl)",
        )
    bad, found = bad_row_handler(wanted), False
    regular_files(paths, "lines of text")
    for source, target in zip(paths[::2], paths[1::2], strict=True):
        for example in _pairs(source, target, wanted.files.encoding, bad):
            found = True
            yield example
    if not found:
        raise no_examples(paths, "only blank lines", "a text on each line of both files")


def _pairs(
    source: Path, target: Path, encoding: str | None, bad: Callable[[DataError], bool]
) -> Iterator[Example]:
    both = zip_longest(bare_lines(source, encoding), bare_lines(target, encoding))
    for x_line, y_line in both:
        if x_line is None or y_line is None:
            raise _uneven(source, target, x_line, y_line, both)
        number, (x, y) = x_line[0], (x_line[1].strip(), y_line[1].strip())
        if x and y:
            yield Example(x, y, Place(source, number))
        elif x or y:
            blank, other = (source, target) if y else (target, source)
            what = f"a blank line, but {other} has text on this line"
            bad(DataError(what, file=blank, line=number, expected="text in both files or in neither"))


def _uneven(
    source: Path,
    target: Path,
    x_line: tuple[int, str] | None,
    y_line: tuple[int, str] | None,
    rest: Iterator[tuple[tuple[int, str] | None, tuple[int, str] | None]],
) -> DataError:
    longer, shorter = (source, target) if y_line is None else (target, source)
    first = (x_line or y_line or (1, ""))[0]
    many = first + sum(1 for _ in rest)
    what = f"{many:,} lines, but {shorter} has {first - 1:,}: this is the first line without a counterpart"
    return DataError(what, file=longer, line=first, expected="the same number of lines in both files")
