"""Read lines and write answers, for `predict` and `score`."""

from __future__ import annotations

import argparse
import codecs
import gzip
import itertools
import json
import math
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from unrolled.cli.task_options import add_engine
from unrolled.core.atomic_files import atomic_writer, opening_error, refuse_to_overwrite, storage_error
from unrolled.core.errors import DataError, NonFiniteError, UsageError
from unrolled.core.types import Answer
from unrolled.core.values.json_values import as_list
from unrolled.data.records import FOREIGN, json_object
from unrolled.data.text.encoding import MARKS, check_encoding, find_encoding, opened

LINE_LIMIT = 1 << 24  # bytes; a longer line is an error before it fills the memory
BLOCK = 1 << 16  # bytes per read

_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class Line:
    """A line or a row to answer.

    file, number: where it is; number is 1-based. text: its text. id: the id of a JSON line or of a row.
    row: all fields of a JSON line or of a row of a table; None for a plain line.
    forecast: for a forecast the names of the forecast columns and the times of the steps (empty if unknown).
    """

    file: object
    number: int
    text: str
    id: object = None
    row: Mapping[str, object] | None = None
    forecast: tuple[Sequence[str], Sequence[str]] | None = None

    @property
    def blank(self) -> bool:
        """Whether the line has no text. A blank line gets a blank answer."""
        return not self.text.strip()


FORMATS = ("text", "jsonl", "csv")


def add_line_arguments(parser: argparse.ArgumentParser, formats: tuple[str, ...] = FORMATS) -> None:
    """Add MODEL, FILE, --output, --force, --format, --encoding and --engine."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="model file")
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="input file; without it, or -: stdin"
    )
    parser.add_argument("--output", type=Path, metavar="F", help="write the answers to F instead of stdout")
    parser.add_argument("--force", action="store_true", help="replace an existing output file")
    parser.add_argument(
        "--format",
        choices=formats,
        metavar="NAME",
        default="text",
        help="output format (default text); see below"
        if "csv" in formats
        else "text, or jsonl: one JSON object per line, with full precision (default text)",
    )
    parser.add_argument(
        "--encoding", metavar="NAME", help="encoding of FILE without a byte order mark (default UTF-8)"
    )
    add_engine(parser)


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the beam search, for models of transcribe and translate."""
    parser.add_argument(
        "--beam",
        type=int,
        metavar="N",
        help="width of the beam search (default: transcribe 16, translate 4); 1: greedy",
    )
    group = parser.add_argument_group("models of transcribe")
    group.add_argument("--lm", type=Path, metavar="MODEL", help="language model used in the beam search")
    group.add_argument(
        "--lm-weight",
        type=float,
        default=0.5,
        metavar="X",
        help="weight of its log-probabilities (default 0.5)",
    )


def _raise(error: DataError) -> None:
    raise error


def read_lines(
    path: Path | None,
    form: str,
    encoding: str | None = None,
    bad: Callable[[DataError], None] = _raise,
) -> Iterator[Line]:
    """Yield the lines of a file or of stdin as they arrive. As in training, a line ends in LF, CR LF or CR.

    path: None or `-`: stdin. form: the output format; with `jsonl`, lines that begin with { are JSON.
    encoding: used if there is no byte order mark. None: UTF-8.
    bad: gets the DataError of a line that cannot be read. If it returns, the line counts as blank.
    Raises UsageError for an unknown encoding.
    """
    if encoding is not None:
        check_encoding(encoding)
    if path is None or str(path) == "-":
        if sys.stdin is None:
            raise UsageError("stdin is closed", expected="lines on stdin, or FILE")
        yield from _lines(cast(BufferedIOBase, sys.stdin.buffer), Path("stdin"), form, encoding, bad)
        return
    try:
        stream = opened(path)
    except OSError as error:
        raise opening_error(error, path) from error
    with stream:
        yield from _lines(stream, path, form, encoding, bad)


def at_once(path: Path | None) -> bool:
    """Whether all lines are available now: a file, also as stdin, but not a pipe or a terminal."""
    if path is not None and str(path) != "-":
        return True
    try:
        return stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


def _lines(
    stream: BufferedIOBase, name: Path, form: str, given: str | None, bad: Callable[[DataError], None]
) -> Iterator[Line]:
    encoding, blocks = _encoded(_blocks(stream, name), name, given)
    for number, raw in enumerate(_split(blocks, name), 1):
        try:
            yield _line(raw, name, number, form, encoding)
        except DataError as error:
            bad(error)
            yield Line(name, number, "")


def _line(raw: bytes, name: Path, number: int, form: str, encoding: str) -> Line:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} of the line is not {encoding.upper()}"
        raise DataError(what, file=name, line=number, hint="--encoding cp1252") from error
    if "\0" in text:
        raise DataError("NUL character", file=name, line=number, expected="text", hint="--encoding utf-16-le")
    bare = text.strip()  # JSON allows white space around the braces
    record = form == "jsonl" and bare.startswith("{")
    return _from_json(bare, name, number) if record else Line(name, number, text)


def _blocks(stream: BufferedIOBase, name: Path) -> Iterator[bytes]:
    """Yield blocks of bytes as soon as they arrive. A byte order mark is never split between blocks."""
    block = b""
    try:
        while more := stream.read1(BLOCK):
            block += more
            if not any(mark.startswith(block) for mark in MARKS):
                yield block
                block = b""
        if block:
            yield block
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"damaged gzip file: {error}", file=name, expected="a complete .gz file") from error
    except OSError as error:
        raise storage_error(error, name) from error


def _encoded(blocks: Iterator[bytes], name: Path, given: str | None) -> tuple[str, Iterator[bytes]]:
    """Return an encoding, and the blocks in this encoding without the byte order mark.

    Lines can be split at the bytes LF and CR: an encoding in which this is impossible is converted to UTF-8.
    """
    first = next(blocks, b"")
    for magic, kind, hint in FOREIGN:
        if first.startswith(magic):
            raise DataError(f"this is {kind}", file=name, expected="lines of text", hint=hint)
    found, mark = find_encoding(first)
    found = given if given and not mark else found
    whole = itertools.chain([first[mark:]], blocks)
    return (found, whole) if "a\n".encode(found) == b"a\n" else ("utf-8", _to_utf8(whole, name, found))


def _to_utf8(blocks: Iterator[bytes], name: Path, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DataError(f"bytes that are not {encoding.upper()}: {error.reason}", file=name) from error


def _split(blocks: Iterator[bytes], name: Path) -> Iterator[bytes]:
    """Yield the lines without their line ends (LF, CR LF or CR).

    A line that ends in CR is yielded at once. If the next block begins with LF, this LF belongs to the same
    line end.
    """
    rest, number, returned = b"", 0, False
    for block in filter(None, blocks):
        ended = block.endswith(b"\r")
        block = block.removeprefix(b"\n") if returned else block
        returned = ended
        *lines, rest = _END.split(rest + block)
        for line in lines:
            number += 1
            yield _bounded(line, name, number)
        _bounded(rest, name, number + 1)
    if rest:
        yield rest


def _bounded(line: bytes, name: Path, number: int) -> bytes:
    if len(line) > LINE_LIMIT:
        raise DataError("line too long", file=name, line=number, expected=f"at most {LINE_LIMIT:,} bytes")
    return line


def _from_json(text: str, name: Path, number: int) -> Line:
    try:
        record = json_object(text)
        if isinstance(record["text"], str):
            return Line(name, number, record["text"], record.get("id"), record)
    except (ValueError, KeyError, RecursionError):
        pass
    raise DataError("not a JSON line", file=name, line=number, expected='{"id": ..., "text": "..."}')


def answer_text(answer: Answer, line: Line, form: str) -> str:
    """Return an answer in the format `form`, with the id of the line.

    Raises NonFiniteError, with file and line, if a number of the answer is not finite.
    """
    if not _is_finite(answer.record):
        what = "the answer is not finite: the numbers of the model are too large"
        raise NonFiniteError(what, file=line.file, line=line.number)
    if form == "text":
        return answer.text
    if form == "conll":
        pairs = zip(as_list(answer.record["tokens"]), as_list(answer.record["tags"]), strict=True)
        return "".join(f"{token}\t{tag}\n" for token, tag in pairs)
    record = dict(answer.record) if line.id is None else {"id": line.id, **answer.record}
    if line.forecast is not None and line.forecast[1] and "value" in record:
        record["times"] = list(line.forecast[1])
    return json.dumps(record, ensure_ascii=False)


def with_name(text: str, answer: Answer) -> str:
    """Return the text of an answer. If the answer is about a file, a tab and the name of the file follow."""
    return f"{text}\t{answer.record['file']}" if "file" in answer.record else text


def _is_finite(value: object) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case Mapping():
            return all(map(_is_finite, value.values()))
        case list() | tuple():
            return all(map(_is_finite, value))
        case _:
            return True


@contextmanager
def output(path: Path | None, *, force: bool) -> Iterator[Callable[[str], None]]:
    """Provide a function that writes one line, to stdout or to the file `path`.

    Each line appears on stdout at once. A file appears only when all lines are written.
    Raises UsageError if the file exists and `force` is False.
    """
    if path is None:
        yield lambda text: print(text, flush=True)
        return
    refuse_to_overwrite(path, force=force)
    with atomic_writer(path) as write:
        # Invalid Unicode (half of a surrogate pair, from JSON) is escaped, as on stdout.
        yield lambda text: write((text + "\n").encode("utf-8", "backslashreplace"))
